"""The table, as text. Pure.

Places are in verdict maps, each leading to the chain of its listener's port, so that the table lists, saves and loads
again with every nft (redirect-facts C). They are in plain sets as well: a map that leads to tproxy may be named in
prerouting only. What each chain is for is told in docs/redirect.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import ip_network

from nodegate_redirect import nft_chains
from nodegate_redirect.contract import Place
from nodegate_redirect.marks import TO_LISTENER, mark_of
from nodegate_redirect.nft_chains import ADDRESS, FAMILIES, IP, chain, place, to_place
from nodegate_redirect.plan import REFUSED, Plan, Target, Targets

TABLE = "nodegate"
PORT_CHAINS = r"(?:to|bridged)-\d+"
"""The names of the chains of listeners' ports, as a regular expression."""

REFUSING, _ACCEPTED = "refuse", "accepted"
_SYN = "tcp flags & (fin | syn | rst | ack) == syn"
_LATER = "tcp flags & (fin | syn | rst | ack) != syn"


def body(*, bridged: bool) -> str:
    """Return what stands between the braces of the table, whatever is redirected.

    ``bridged`` says whether the frames of bridges come by here.
    """
    ports = " map bridged { type mark : verdict; }\n" if bridged else ""
    nat = nft_chains.translation(["meta mark vmap @bridged"] if bridged else [])
    maps = (*_maps(), nft_chains.place_sets(), ports)
    chains = (_refuse(), _accepted(), _untracked(bridged=bridged), _prerouting(), nft_chains.output(), nat)
    return "".join((*maps, *chains))


def _maps() -> Iterator[str]:
    for family in FAMILIES:
        key = f"{ADDRESS[family]} . inet_service"
        yield f" map frontends{family} {{ type {key} : verdict; counter; }}\n"
        yield f" set restricted{family} {{ type {key}; }}\n"
        yield f" set allowed{family} {{ type {key} . {ADDRESS[family]}; flags interval; }}\n"


def _refuse() -> str:
    return f" chain {REFUSING} {{\n  {nft_chains.REFUSE_HERE}\n }}\n"


def _accepted() -> str:
    """Count packets of accepted connections. Those of the node's own clients are counted where they begin."""
    lines = ['iif "lo" accept', *nft_chains.count_traffic()]
    return f" chain {_ACCEPTED} {{\n" + "".join(f"  {line}\n" for line in lines) + " }\n"


def _untracked(*, bridged: bool) -> str:
    """Keep what comes from outside out of conntrack, so that no REJECT for new connections sees it.

    Frames of a bridge are tracked: they need nat.
    """
    lines = [
        "meta l4proto != tcp accept",
        *(['meta iifkind "bridge" accept'] if bridged else []),
        "socket transparent 1 socket wildcard 0 notrack accept",
        *(f"{to_place(family)} socket transparent 1 notrack accept" for family in FAMILIES),
        *(f"{to_place(family)} {_SYN} notrack" for family in FAMILIES),
    ]
    answers = nft_chains.untracked_answers(['meta oifkind "bridge" accept'] if bridged else [])
    return chain("untracked", "filter hook prerouting priority raw", lines) + answers


def _prerouting() -> str:
    lines = [
        "meta l4proto != tcp accept",
        f"socket transparent 1 socket wildcard 0 meta mark set {TO_LISTENER:#x} goto {_ACCEPTED}",
        "ct status dnat accept",  # connections that kube-proxy has already
        # A handshake that has begun: `socket wildcard` does not match it, and it should not be counted again.
        *(f"{to_place(family)} socket transparent 1 meta mark set {TO_LISTENER:#x} accept" for family in FAMILIES),
    ]
    # A connection that another program of the node has there already.
    lines += [f"{_LATER} {to_place(family)} socket transparent 0 socket wildcard 0 accept" for family in FAMILIES]
    for family in FAMILIES:
        from_client = f"{IP[family]} daddr . tcp dport . {IP[family]} saddr != @allowed{family}"
        lines.append(f"{place(family)} @restricted{family} {from_client} counter drop")
    lines += [f"{place(family)} vmap @frontends{family}" for family in FAMILIES]
    return chain("prerouting", "filter hook prerouting priority mangle", lines)


def changes(plan: Plan, held: Targets, ports: frozenset[int], *, bridged: bool) -> str:
    """Return the commands that lead from what is held to the plan; one transaction. ``ports`` have chains."""
    needed = plan.ports
    lines = [line for port in sorted(needed - ports) for line in _add_port(port, bridged=bridged)]
    new, old = plan.difference(held)
    for frontend, target in old.items():
        lines += _elements("delete", frontend, target)
    for frontend, target in new.items():
        lines += _elements("add", frontend, target)
    lines += [line for port in sorted(ports - needed) for line in _remove_port(port, bridged=bridged)]
    return "".join(f"{line}\n" for line in lines)


def _add_port(port: int, *, bridged: bool) -> Iterator[str]:
    """Yield the commands that make the chains of a port.

    tproxy ends its rule where no socket listens; the next rule then refuses. Frames of a bridge that pass through
    netfilter cannot be assigned to a socket: they keep the port's mark and are redirected by nat (redirect-facts E).
    """
    rule = f"add rule inet {TABLE} to-{port}"
    yield f"add chain inet {TABLE} to-{port}"
    if bridged:
        yield f'{rule} meta iifkind "bridge" meta mark set {mark_of(port):#x} accept'
    yield f"{rule} meta l4proto tcp tproxy to :{port} meta mark set {TO_LISTENER:#x} accept"
    yield f"{rule} goto {REFUSING}"
    if bridged:
        yield f"add chain inet {TABLE} bridged-{port}"
        yield f"add rule inet {TABLE} bridged-{port} meta l4proto tcp redirect to :{port}"
        yield f"add element inet {TABLE} bridged {{ {mark_of(port):#x} : goto bridged-{port} }}"


def _remove_port(port: int, *, bridged: bool) -> Iterator[str]:
    if bridged:
        yield f"delete element inet {TABLE} bridged {{ {mark_of(port):#x} : goto bridged-{port} }}"
        yield f"delete chain inet {TABLE} bridged-{port}"
    yield f"delete chain inet {TABLE} to-{port}"


def _elements(verb: str, frontend: Place, target: Target) -> Iterator[str]:
    family, key = frontend.family, f"{frontend.address} . {frontend.port}"
    leads = REFUSING if target.port == REFUSED else f"to-{target.port}"
    yield f"{verb} element inet {TABLE} frontends{family} {{ {key} : goto {leads} }}"
    yield from nft_chains.place_elements(verb, TABLE, frontend, nft_chains.open_port(target))
    if target.ranges is not None:
        yield f"{verb} element inet {TABLE} restricted{family} {{ {key} }}"
        for network in _networks(target.ranges, family):
            yield f"{verb} element inet {TABLE} allowed{family} {{ {key} . {network} }}"


def _networks(ranges: Iterable[str], family: int) -> Iterator[str]:
    """Yield the ranges of a family, those within others left out: nft takes no overlaps."""
    mine = [network for network in map(ip_network, ranges) if network.version == family]
    for network in mine:
        if not any(network != other and network.subnet_of(other) for other in mine):  # type: ignore[arg-type]
            yield f"{network.network_address}-{network.broadcast_address}"


def parse_chain(verdict: str) -> int:
    """Return the port that a verdict leads to; REFUSED for the chain that refuses."""
    name = verdict.rpartition("to-")[2]
    return int(name) if name.isdigit() else REFUSED
