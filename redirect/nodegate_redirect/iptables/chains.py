"""The rules, as text in the very form in which ``iptables-save`` shows them. Pure.

Everything is in chains of our own, each entered by one jump that is the first rule of its base chain. No rule depends
on a frontend: those are in ipsets. The one rule there has to be for each listener's port (TPROXY takes no port from a
mark) is found through a tree of the port's digits, so that 10,000 ports cost a packet some forty comparisons, and
only the first packet of a connection. Order and reasons of the rules: redirect-facts A, D and E; they are repeated,
rule by rule, in docs/redirect.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from nodegate_redirect.iptables.sets import set_names
from nodegate_redirect.marks import ENVOY, ENVOY_MASK, KIND_MASK, REFUSE, TO_LISTENER, mark_of

PREFIX = "NODEGATE-"
MADE_TABLE = f"{PREFIX}MADE-TABLE"
"""An empty chain in each table that was not there before us, so that cleanup knows to remove it again."""

PROBE = (
    f"*mangle\n:{PREFIX}PROBE - [0:0]\n-A {PREFIX}PROBE -p tcp -m socket --transparent -j TPROXY --on-port 1\nCOMMIT\n"
)
"""What shows whether the kernel has all that the rules need."""

Chain = tuple[str, str]
"""Table and name of a chain."""

REFUSING: Chain = ("filter", f"{PREFIX}IN")
FORBIDDING: Chain = ("mangle", f"{PREFIX}PRE")
"""The chains in which packets are rejected and dropped."""

JUMPS: Mapping[Chain, str] = {
    ("mangle", "PREROUTING"): f"{PREFIX}PRE",
    ("mangle", "OUTPUT"): f"{PREFIX}OUT",
    ("nat", "PREROUTING"): f"{PREFIX}NAT",
    ("nat", "OUTPUT"): f"{PREFIX}NATOUT",
    ("filter", "INPUT"): f"{PREFIX}IN",
    ("filter", "OUTPUT"): f"{PREFIX}FILTEROUT",
}
"""Base chain -> the chain of ours that its first rule jumps to."""

TABLES = ("mangle", "nat", "filter")

_ANY = {4: "0.0.0.0", 6: "::"}  # noqa: S104  # matches listeners that are bound to no address
_KIND_AND_REST = 0xFFF  # tells TO_LISTENER from REFUSE
_OURS = f"-m mark --mark {TO_LISTENER:#x}/{KIND_MASK:#x}"
_FIRST, _LATER = "-m tcp --tcp-flags FIN,SYN,RST,ACK SYN", "-m tcp ! --tcp-flags FIN,SYN,RST,ACK SYN"
_SET_TO_LISTENER = f"-j MARK --set-xmark {TO_LISTENER:#x}/0xffffffff"


@dataclass(frozen=True, slots=True)
class Shape:
    """What the rules of one family depend on: the ports of listeners, and whether a bridge's frames come by."""

    family: int
    ports: frozenset[int] = frozenset()
    bridged: bool = False


def chains(shape: Shape, among: Iterable[int] | None = None) -> dict[Chain, tuple[str, ...]]:
    """Return every chain of ours with its rules, as ``iptables-save`` shows them behind ``-A``.

    With ``among``, ports, the chains at the end of the tree are only those where these ports belong: with 10,000 ports
    a change of one would otherwise cost more than all else together.
    """
    leaves = None if among is None else frozenset(port & 0xFF for port in among)
    made = {
        ("mangle", f"{PREFIX}ACCEPTED"): (f"! -i lo -p tcp {_counted(shape)}", _SET_TO_LISTENER),
        FORBIDDING: tuple(_prerouting(shape)),
        ("mangle", f"{PREFIX}OUT"): tuple(_output(shape)),
        ("nat", f"{PREFIX}NAT"): tuple(_nat(shape)),
        ("nat", f"{PREFIX}NATOUT"): (f"{_OURS} -j ACCEPT",),
        REFUSING: (
            f"-m mark --mark {TO_LISTENER:#x}/{_KIND_AND_REST:#x} -j ACCEPT",
            f"-p tcp -m mark --mark {REFUSE:#x} -j REJECT --reject-with tcp-reset",
        ),
        ("filter", f"{PREFIX}FILTEROUT"): (f"{_OURS} -j ACCEPT",),
    }
    on_ip = _ANY[shape.family]
    made |= _tree(
        "mangle",
        "TO",
        shape.ports,
        leaves,
        lambda port: f"-j TPROXY --on-port {port} --on-ip {on_ip} --tproxy-mark {TO_LISTENER:#x}/0xffffffff",
    )
    if shape.bridged:
        made |= _tree("nat", "BR", shape.ports, leaves, lambda port: f"-j REDIRECT --to-ports {port}")
    return made


def _counted(shape: Shape) -> str:
    """Return what counts a packet of an accepted connection for its place, and does nothing else."""
    return f"-m set --match-set {set_names(shape.family).traffic} dst,dst"


def _prerouting(shape: Shape) -> Iterator[str]:
    names = set_names(shape.family)
    not_kube_proxys = "-p tcp -m conntrack ! --ctstate DNAT"
    yield f"-p tcp -m socket --transparent -g {PREFIX}ACCEPTED"
    closed = f"-m set --match-set {names.restricted} dst,dst -m set ! --match-set {names.allowed} dst,dst,src"
    yield f"{not_kube_proxys} {_FIRST} {closed} -j DROP"
    yield f"{not_kube_proxys} -j SET --map-set {names.frontends} dst,dst --map-mark"
    # A connection that another program of the node has there already.
    yield f"-p tcp {_LATER} {_OURS} -m socket -j MARK --set-xmark 0x0/0xffffffff"
    if shape.bridged:
        yield "-m physdev --physdev-is-in -j RETURN"
    if shape.ports:
        yield f"-p tcp {_OURS} -g {PREFIX}TO"


def _output(shape: Shape) -> Iterator[str]:
    names = set_names(shape.family)
    new = "-p tcp -m conntrack --ctstate NEW --ctdir ORIGINAL"
    to_frontend = f"-m set --match-set {names.frontends} dst,dst ! --update-counters"
    yield f"-m mark --mark {ENVOY:#x}/{ENVOY_MASK:#x} -j RETURN"  # its own connections, and answers of listeners
    yield f"{new} {to_frontend} -j CONNMARK --set-xmark {TO_LISTENER:#x}/{KIND_MASK:#x}"
    marked = f"-m connmark --mark {TO_LISTENER:#x}/{KIND_MASK:#x} -m conntrack --ctdir ORIGINAL"
    yield f"-p tcp {marked} {_SET_TO_LISTENER}"
    yield f"-p tcp {marked.replace('--ctdir', '--ctstate ESTABLISHED --ctdir')} {_counted(shape)}"
    # By this mark the nat table finds the listener; who may connect to a restricted place is decided on lo.
    is_open = f"-m set ! --match-set {names.restricted} dst,dst"
    yield f"{new} {is_open} -j SET --map-set {names.frontends} dst,dst --map-mark"


def _nat(shape: Shape) -> Iterator[str]:
    if shape.bridged and shape.ports:
        yield f"-p tcp {_OURS} -j {PREFIX}BR"
    yield f"{_OURS} -j ACCEPT"


def _tree(
    table: str, name: str, ports: frozenset[int], wanted: frozenset[int] | None, target: Callable[[int], str]
) -> dict[Chain, tuple[str, ...]]:
    """Return the chains that lead a mark to the rule of its port: by its last four bits, then the four before.

    ``wanted`` are the last eight bits of the ports whose last chains are wanted; None: all of them.
    """
    ends = {port & 0xFF for port in ports}
    if not ends:
        return {}
    made: dict[Chain, tuple[str, ...]] = {}
    last: dict[int, list[int]] = {}
    for port in ports if wanted is None else (port for port in ports if port & 0xFF in wanted):
        last.setdefault(port & 0xFF, []).append(port)
    lows = sorted({end & 0xF for end in ends})
    made[table, f"{PREFIX}{name}"] = tuple(
        f"-m mark --mark {low << 24:#x}/0xf000000 -g {PREFIX}{name}-{low:x}" for low in lows
    )
    for low in lows:
        highs = sorted(end >> 4 for end in ends if end & 0xF == low)
        made[table, f"{PREFIX}{name}-{low:x}"] = tuple(
            f"-m mark --mark {high << 28:#x}/0xf0000000 -g {PREFIX}{name}-{high:x}{low:x}" for high in highs
        )
        for high in highs:
            if mine := last.get(high << 4 | low):
                made[table, f"{PREFIX}{name}-{high:x}{low:x}"] = tuple(
                    f"-p tcp -m mark --mark {mark_of(port):#x} {target(port)}" for port in sorted(mine)
                )
    return made
