"""What strangers can do to our rules, and what of a kernel's rules is ours."""

from __future__ import annotations

ROUTING = "ip rule del pref 9; ip -6 route flush table 2004"
ALL_OF_NFTABLES = "nft flush ruleset"
FLUSHES = {
    "ebpf": {
        "filters": "tc filter del dev eth0 ingress; tc qdisc del dev cbr0 clsact",
        "rules": "nft flush chain inet nodegate-ebpf untracked",
        "elements": "nft flush set inet nodegate-ebpf places4",
        "listeners": "nft flush map inet nodegate-ebpf listeners4",
        "routing": ROUTING,
        "all of nftables": ALL_OF_NFTABLES,
    },
    "iptables-nft": {
        "rules": "for r in iptables ip6tables; do $r-nft -t mangle -F; $r-nft -t nat -F PREROUTING; done",
        "sets": "ipset flush nodegate4",
        "counters": "ipset flush nodegate6-traffic",
        "listeners": "nft flush map inet nodegate-nat listeners",
        "order": "iptables-nft -t nat -I PREROUTING 1 -j KUBE-SERVICES",
        "routing": ROUTING,
        "all of nftables": ALL_OF_NFTABLES,
    },
    "iptables-legacy": {
        "rules": "for r in iptables ip6tables; do $r-legacy -t mangle -F; $r-legacy -t nat -F PREROUTING; done",
        "order": "iptables-legacy -t nat -I PREROUTING 1 -j KUBE-SERVICES",
        "all of nftables": ALL_OF_NFTABLES,
    },
    "nftables": {
        "rules": "nft flush chain inet nodegate prerouting",
        "elements": "nft flush map inet nodegate frontends4",
        "places": "nft flush set inet nodegate places4",
        "listeners": "nft flush map inet nodegate listeners4",
        "routing": ROUTING,
        "all of nftables": ALL_OF_NFTABLES,
    },
}


def ours(kernel: str) -> set[str]:
    """Return the lines of what the kernel holds that are ours."""
    return {line for line in kernel.splitlines() if "odegate" in line.lower()}


def without_empty_tables(kernel: str) -> list[str]:
    """Return the lines but those of a table of iptables-legacy, which the kernel makes when one looks and keeps."""
    kept = (line for line in kernel.splitlines() if line.strip())
    return sorted(line for line in kept if line != "COMMIT" and not line.startswith(("*", ":")))
