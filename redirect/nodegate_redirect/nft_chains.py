"""Chains of nftables that more than one mode needs, as text. Pure. Why they are as they are: docs/redirect.md.

They expect the sets ``places4`` and ``places6`` of :func:`place_sets` in their table.
"""

from __future__ import annotations

from collections.abc import Iterable

from nodegate_redirect.marks import KIND_MASK, LISTENER, REFUSE, TO_LISTENER, UPSTREAM

FAMILIES = (4, 6)
IP = {4: "ip", 6: "ip6"}
ADDRESS = {4: "ipv4_addr", 6: "ipv6_addr"}


def chain(name: str, hook: str, lines: Iterable[str]) -> str:
    """Return a base chain."""
    text = "".join(f"  {line}\n" for line in lines)
    return f" chain {name} {{\n  type {hook}; policy accept;\n{text} }}\n"


def place_sets() -> str:
    """Return the sets of all places, one for each family."""
    return "".join(f" set places{family} {{ type {ADDRESS[family]} . inet_service; }}\n" for family in FAMILIES)


def place(family: int) -> str:
    """Return what a packet is looked up by."""
    return f"{IP[family]} daddr . tcp dport"


def to_place(family: int) -> str:
    """Return the condition that a packet goes to a place."""
    return f"{place(family)} @places{family}"


def untracked_answers(before: Iterable[str] = ()) -> str:
    """Keep answers of listeners out of conntrack where the clients' packets are: they tell them by their mark.

    A client on the node itself has its connection tracked, both ways.
    """
    line = f"meta mark & {KIND_MASK:#x} == {LISTENER:#x} fib daddr type != local notrack"
    return chain("untracked-answers", "filter hook output priority raw", [*before, line])


def output() -> str:
    """Send connections that begin on this node back to it, all but Envoy's own (redirect-facts D2)."""
    new = "ct state new ct direction original"
    mark = f"ct mark set ct mark & {0xFFFFFFFF ^ KIND_MASK:#x} | {TO_LISTENER:#x}"
    lines = [
        "meta l4proto != tcp accept",
        f"meta mark & {KIND_MASK:#x} == {UPSTREAM:#x} accept",
        *(f"{new} {to_place(family)} {mark}" for family in FAMILIES),
        f"ct mark & {KIND_MASK:#x} == {TO_LISTENER:#x} ct direction original meta mark set {TO_LISTENER:#x}",
    ]
    return chain("output", "route hook output priority mangle", lines)


def self_nat(after: Iterable[str] = ()) -> str:
    """End address translation for connections that go to a listener, before kube-proxy's nftables mode sees them.

    An accept in one table does not stop another one, but a connection is translated once only: a DNAT to the address
    it has anyway, one step before kube-proxy's priority, is the end of it (redirect 11, redirect-facts C).
    """
    marks = f"{{ {TO_LISTENER:#x}, {REFUSE:#x} }}"
    itself = [f"meta mark {marks} dnat {ip} to {ip} daddr" for ip in IP.values()]
    before = chain("nat-prerouting", "nat hook prerouting priority -101", [*itself, *after])
    return before + chain("nat-output", "nat hook output priority -101", itself)


def refusal() -> str:
    """Answer packets to a frontend whose listener is gone with a reset, and count them."""
    line = f"meta l4proto tcp meta mark {REFUSE:#x} counter reject with tcp reset"
    return chain("input", "filter hook input priority -111", [line])
