"""Whether frames of a bridge go through iptables, which changes what TPROXY can do with them (redirect-facts E)."""

from __future__ import annotations

from pathlib import Path

_SETTINGS = {
    4: Path("/proc/sys/net/bridge/bridge-nf-call-iptables"),
    6: Path("/proc/sys/net/bridge/bridge-nf-call-ip6tables"),
}


def are_filtered(family: int) -> bool:
    """Say whether ``bridge-nf-call-iptables`` is on in this network namespace; it is not without br_netfilter."""
    try:
        return _SETTINGS[family].read_text().strip() == "1"
    except OSError:
        return False
