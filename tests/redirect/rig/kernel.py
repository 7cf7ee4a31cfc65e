"""What a node's kernel holds, as text that can be compared."""

from __future__ import annotations

import re

from tests.redirect.rig.namespaces import Network

_SHOW = (
    "iptables-nft-save; ip6tables-nft-save; iptables-legacy-save; ip6tables-legacy-save; nft list ruleset; "
    "ipset save; for f in -4 -6; do ip $f rule; ip $f route show table all; done; "
    "for d in lo eth0 cbr0 vpod1 vpod2; do tc qdisc show dev $d; tc filter show dev $d ingress; done"
)
_VOLATILE = r"\[\d+:\d+\]|packets \d+ bytes \d+|expires \d+sec|^#.*$|^.* proto kernel .*$|initval \S+"


def kernel_of(network: Network) -> str:
    """Return everything the node's kernel holds that redirects could have to do with, without counters and times.

    And without the routes that the kernel makes for addresses: some come a while after their interface.
    """
    return re.sub(_VOLATILE, "", without_traffic(network.run("node", _SHOW)), flags=re.MULTILINE)


def without_traffic(kernel: str) -> str:
    """Return the text without the sets of nftables into which the kernel itself puts what it counts."""
    return re.sub(r"^\tset traffic\d \{.*?^\t\}\n", "", kernel, flags=re.MULTILINE | re.DOTALL)


def without_empty_tables(kernel: str) -> list[str]:
    """Return the lines but those of a table of iptables-legacy, which the kernel makes when one looks and keeps."""
    kept = (line for line in kernel.splitlines() if line.strip())
    return sorted(line for line in kept if line != "COMMIT" and not line.startswith(("*", ":")))
