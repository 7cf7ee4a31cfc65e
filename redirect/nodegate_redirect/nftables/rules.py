"""The table, as text. Pure.

Places are in verdict maps, each leading to the chain of its listener's port, so that the table lists, saves and loads
again with every nft (redirect-facts C). They are in plain sets as well: a map that leads to tproxy may be named in
prerouting only. What each chain is for is told in docs/redirect.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from ipaddress import ip_network

from nodegate_redirect.contract import Place
from nodegate_redirect.marks import KIND_MASK, LISTENER, REFUSE, TO_LISTENER, UPSTREAM, mark_of
from nodegate_redirect.plan import REFUSED, Target

TABLE = "nodegate"
FAMILIES = (4, 6)
PORT_CHAINS = r"(?:to|bridged)-\d+"
"""The names of the chains of listeners' ports, as a regular expression."""

_REFUSING = "refuse"
_IP = {4: "ip", 6: "ip6"}
_ADDRESS = {4: "ipv4_addr", 6: "ipv6_addr"}
_SYN = "tcp flags & (fin | syn | rst | ack) == syn"
_OURS = f"meta mark & {KIND_MASK:#x} == {TO_LISTENER:#x}"


def body(*, bridged: bool) -> str:
    """Return what stands between the braces of the table, whatever is redirected.

    ``bridged`` says whether the frames of bridges come by here.
    """
    return "".join(
        (*_maps(), _refuse(), _untracked(bridged=bridged), _prerouting(), _output(), _nat(bridged=bridged), _filter())
    )


def _maps() -> Iterator[str]:
    for family in FAMILIES:
        place = f"{_ADDRESS[family]} . inet_service"
        yield f" map frontends{family} {{ type {place} : verdict; counter; }}\n"
        yield f" set places{family} {{ type {place}; }}\n"
        yield f" set restricted{family} {{ type {place}; }}\n"
        yield f" set allowed{family} {{ type {place} . {_ADDRESS[family]}; flags interval; }}\n"


def _refuse() -> str:
    return f" chain {_REFUSING} {{\n  meta mark set {REFUSE:#x} accept\n }}\n"


def _untracked(*, bridged: bool) -> str:
    """Keep what comes from outside out of conntrack, so that no REJECT for new connections sees it.

    Answers are those of the listener's own sockets, by their mark;
    a client on the node itself has its connection tracked, both ways, and so have frames of a bridge: they take nat.
    """
    lines = [
        "meta l4proto != tcp accept",
        *(['meta iifkind "bridge" accept'] if bridged else []),
        "socket transparent 1 socket wildcard 0 notrack",
        *(f"socket transparent 1 {_to_frontend(family)} notrack" for family in FAMILIES),
        *(f"{_SYN} {_to_frontend(family)} notrack" for family in FAMILIES),
    ]
    answers = [
        *(['meta oifkind "bridge" accept'] if bridged else []),
        f"meta mark & {KIND_MASK:#x} == {LISTENER:#x} fib daddr type != local notrack",
    ]
    return _chain("untracked", "filter hook prerouting priority raw", lines) + _chain(
        "untracked-answers", "filter hook output priority raw", answers
    )


def _prerouting() -> str:
    lines = [
        "meta l4proto != tcp accept",
        f"socket transparent 1 socket wildcard 0 meta mark set {TO_LISTENER:#x} accept",
        "ct status dnat accept",  # connections that kube-proxy has already
    ]
    for family in FAMILIES:
        from_client = f"{_IP[family]} daddr . tcp dport . {_IP[family]} saddr != @allowed{family}"
        lines.append(f"{_place(family)} @restricted{family} {from_client} drop")
    lines += [f"{_place(family)} vmap @frontends{family}" for family in FAMILIES]
    return _chain("prerouting", "filter hook prerouting priority mangle", lines)


def _output() -> str:
    new = "ct state new ct direction original"
    mark = f"ct mark set ct mark & {0xFFFFFFFF ^ KIND_MASK:#x} | {TO_LISTENER:#x}"
    lines = [
        "meta l4proto != tcp accept",
        f"meta mark & {KIND_MASK:#x} == {UPSTREAM:#x} accept",
        *(f"{new} {_to_frontend(family)} {mark}" for family in FAMILIES),
        f"ct mark & {KIND_MASK:#x} == {TO_LISTENER:#x} ct direction original meta mark set {TO_LISTENER:#x}",
    ]
    return _chain("output", "route hook output priority mangle", lines)


def _nat(*, bridged: bool) -> str:
    """End translation before kube-proxy's: a DNAT to the address it has anyway (redirect-facts C)."""
    itself = [f"meta mark {{ {TO_LISTENER:#x}, {REFUSE:#x} }} dnat {ip} to {ip} daddr" for ip in _IP.values()]
    before = [*itself, "meta mark vmap @bridged"] if bridged else itself
    ports = " map bridged { type mark : verdict; }\n" if bridged else ""
    chains = _chain("nat-prerouting", "nat hook prerouting priority -101", before)
    return ports + chains + _chain("nat-output", "nat hook output priority -101", itself)


def _filter() -> str:
    lines = [f"meta l4proto tcp meta mark {REFUSE:#x} counter reject with tcp reset"]
    return _chain("input", "filter hook input priority -111", lines)


def changes(
    wanted: Mapping[Place, Target], held: Mapping[Place, Target], ports: frozenset[int], *, bridged: bool
) -> str:
    """Return the commands that lead from what is held to what is wanted; one transaction. ``ports`` have chains."""
    needed = frozenset(target.port for target in wanted.values()) - {REFUSED}
    lines = [line for port in sorted(needed - ports) for line in _add_port(port, bridged=bridged)]
    for place, target in held.items():
        if wanted.get(place) != target:
            lines += _elements("delete", place, target)
    for place, target in wanted.items():
        if held.get(place) != target:
            lines += _elements("add", place, target)
    lines += [line for port in sorted(ports - needed) for line in _remove_port(port, bridged=bridged)]
    return "".join(f"{line}\n" for line in lines)


def _add_port(port: int, *, bridged: bool) -> Iterator[str]:
    """Yield the commands that make the chains of a port.

    tproxy ends its rule where no socket listens; the next rule then refuses. Frames of a bridge that pass through
    netfilter cannot be assigned to a socket: they keep the port's mark and are redirected by nat (redirect-facts E).
    """
    chain = f"add chain inet {TABLE} to-{port}"
    rule = f"add rule inet {TABLE} to-{port}"
    yield chain
    if bridged:
        yield f'{rule} meta iifkind "bridge" meta mark set {mark_of(port):#x} accept'
    yield f"{rule} meta l4proto tcp tproxy to :{port} meta mark set {TO_LISTENER:#x} accept"
    yield f"{rule} goto {_REFUSING}"
    if bridged:
        yield f"add chain inet {TABLE} bridged-{port}"
        yield f"add rule inet {TABLE} bridged-{port} meta l4proto tcp redirect to :{port}"
        yield f"add element inet {TABLE} bridged {{ {mark_of(port):#x} : goto bridged-{port} }}"


def _remove_port(port: int, *, bridged: bool) -> Iterator[str]:
    if bridged:
        yield f"delete element inet {TABLE} bridged {{ {mark_of(port):#x} : goto bridged-{port} }}"
        yield f"delete chain inet {TABLE} bridged-{port}"
    yield f"delete chain inet {TABLE} to-{port}"


def _elements(verb: str, place: Place, target: Target) -> Iterator[str]:
    family, key = place.family, f"{place.address} . {place.port}"
    chain = _REFUSING if target.port == REFUSED else f"to-{target.port}"
    yield f"{verb} element inet {TABLE} frontends{family} {{ {key} : goto {chain} }}"
    yield f"{verb} element inet {TABLE} places{family} {{ {key} }}"
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


def _place(family: int) -> str:
    return f"{_IP[family]} daddr . tcp dport"


def _to_frontend(family: int) -> str:
    return f"{_place(family)} @places{family}"


def _chain(name: str, hook: str, lines: Iterable[str]) -> str:
    text = "".join(f"  {line}\n" for line in lines)
    return f" chain {name} {{\n  type {hook}; policy accept;\n{text} }}\n"
