"""Chains of nftables that more than one mode needs, as text. Pure. Why they are as they are: docs/redirect.md.

They expect the sets and maps of :func:`place_sets` in their table.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from nodegate_redirect.contract import Place
from nodegate_redirect.marks import ENVOY, ENVOY_MASK, KIND_MASK, LISTENER, REFUSE, TO_LISTENER
from nodegate_redirect.plan import REFUSED, Target

FAMILIES = (4, 6)
IP = {4: "ip", 6: "ip6"}
ADDRESS = {4: "ipv4_addr", 6: "ipv6_addr"}


def chain(name: str, hook: str, lines: Iterable[str]) -> str:
    """Return a base chain."""
    text = "".join(f"  {line}\n" for line in lines)
    return f" chain {name} {{\n  type {hook}; policy accept;\n{text} }}\n"


def place_sets() -> str:
    """Return the sets of all places, and the maps of those open to everybody, place -> listener's port, by family.

    And what counts packets of accepted connections: a place is in it for as long as there are any.
    """
    return "".join(
        f" set places{family} {{ type {ADDRESS[family]} . inet_service; }}\n"
        f" map listeners{family} {{ type {ADDRESS[family]} . inet_service : inet_service; counter; }}\n"
        f" set traffic{family} {{ type {ADDRESS[family]} . inet_service; size {1 << 20}; flags dynamic, timeout; "
        "timeout 1d; }\n"
        for family in FAMILIES
    )


def open_port(target: Target) -> int:
    """Return the port for a place in ``listeners``. Restricted ones are not there: lo is where clients are checked."""
    return REFUSED if target.ranges is not None else target.port


def place_elements(verb: str, table: str, place: Place, port: int) -> Iterator[str]:
    """Yield the commands that ``add`` or ``delete`` a place of :func:`place_sets`; see :func:`open_port`."""
    key = f"{place.address} . {place.port}"
    yield f"{verb} element inet {table} places{place.family} {{ {key} }}"
    if port != REFUSED:
        yield f"{verb} element inet {table} listeners{place.family} {{ {key} : {port} }}"


def place(family: int) -> str:
    """Return what a packet is looked up by."""
    return f"{IP[family]} daddr . tcp dport"


def count_traffic(when: str = "") -> list[str]:
    """Return rules that count a packet of an accepted connection for its place."""
    return [f"{when}update @traffic{family} {{ {place(family)} counter }}" for family in FAMILIES]


def to_place(family: int) -> str:
    """Return the condition that a packet goes to a place."""
    return f"{place(family)} @places{family}"


def untracked_answers(before: Iterable[str] = ()) -> str:
    """Keep answers of listeners out of conntrack where the clients' packets are: they tell them by their mark.

    A client on the node itself has its connection tracked, both ways; what goes to an address of the node goes out of
    ``lo``, and asking for that costs less than asking what kind of address it is.
    """
    line = f'meta mark & {KIND_MASK:#x} == {LISTENER:#x} oif != "lo" notrack'
    return chain("untracked-answers", "filter hook output priority raw", [*before, line])


def output() -> str:
    """Send connections that begin on this node back to it, all but Envoy's own (redirect-facts D2).

    Envoy's own come first, and with them the answers of listeners, which are most of what a node sends.
    """
    new = "ct state new ct direction original"
    mark = f"ct mark set ct mark & {0xFFFFFFFF ^ KIND_MASK:#x} | {TO_LISTENER:#x}"
    lines = [
        f"meta mark & {ENVOY_MASK:#x} == {ENVOY:#x} accept",
        "meta l4proto != tcp accept",
        *(f"{new} {to_place(family)} {mark}" for family in FAMILIES),
        f"ct mark & {KIND_MASK:#x} == {TO_LISTENER:#x} ct direction original meta mark set {TO_LISTENER:#x}",
        *count_traffic(f"meta mark {TO_LISTENER:#x} ct state established "),
    ]
    return chain("output", "route hook output priority mangle", lines)


TO_OWN_LISTENER = tuple(
    f"meta mark {TO_LISTENER:#x} meta l4proto tcp redirect to :{IP[family]} daddr . tcp dport map @listeners{family}"
    for family in FAMILIES
)
"""Send the node's own connections to their listener, in the hook ``output``."""


def translation(after: Iterable[str] = (), own: Iterable[str] = TO_OWN_LISTENER) -> str:
    """End address translation for connections that go to a listener, before kube-proxy's nftables mode sees them.

    An accept in one table does not stop another one, but a connection is translated once only: a DNAT to the address
    it has anyway, one step before kube-proxy's priority, is the end of it (redirect 11, redirect-facts C).

    For the node's own connections that is not enough. In its nftables mode kube-proxy then rejects what still goes to a
    cluster IP, and in both modes what goes to a Service without endpoints. So these are translated, by ``own``, to the
    port of their listener.
    """
    marks = f"{{ {TO_LISTENER:#x}, {REFUSE:#x} }}"
    itself = [f"meta mark {marks} dnat {ip} to {ip} daddr" for ip in IP.values()]
    before = chain("nat-prerouting", "nat hook prerouting priority -101", [*itself, *after])
    return before + chain("nat-output", "nat hook output priority -101", [*own, *itself])


REFUSE_HERE = "meta l4proto tcp counter reject with tcp reset"
"""Answer a packet to a frontend whose listener is gone with a reset, and count it; in prerouting it takes Linux 5.9."""
