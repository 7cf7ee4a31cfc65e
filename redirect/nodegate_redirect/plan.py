"""From what is asked for to what the kernel should hold. Pure: what the node looks like is an argument.

The rules, for each frontend (DESIGN 3.3, redirect 3 and 6):

- A socket of a listener listens on the port: the frontend goes there.
- None does, and the frontend goes to another port that has one: it stays there. That is a listener that moves, and
  the new one is not there yet.
- None does, and the frontend was redirected before: its connections are refused, at once and visibly.
- None does, and it never was redirected: it is left alone, and whoever served it goes on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from nodegate_redirect.contract import Place, Redirect

REFUSED = 0
"""Instead of a port: connections are refused."""


class Target(NamedTuple):
    """What happens to connections to a place: the listener's port, or REFUSED, and who may connect (None: all)."""

    port: int
    ranges: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Node:
    """What the node looks like: its addresses, and the ports that a listener's socket listens on, by family (4, 6).

    ``held`` names who else has a port.
    """

    addresses: frozenset[str] = frozenset()
    listening: frozenset[tuple[int, int]] = frozenset()
    held: Mapping[tuple[int, int], str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Plan:
    """What the kernel should hold.

    ``owners`` names the redirect of each place; ``waiting`` says for redirects that are not installed as asked why,
    and ``conflicts`` for those that never will be.
    """

    targets: Mapping[Place, Target] = field(default_factory=dict)
    owners: Mapping[Place, str] = field(default_factory=dict)
    waiting: Mapping[str, str] = field(default_factory=dict)
    conflicts: Mapping[str, str] = field(default_factory=dict)

    @property
    def ports(self) -> frozenset[int]:
        """The ports of listeners that something goes to."""
        return frozenset(target.port for target in self.targets.values()) - {REFUSED}


def make_plan(redirects: Iterable[Redirect], node: Node, installed: Mapping[Place, int]) -> Plan:
    """Return what the kernel should hold. ``installed`` is where it sends each place now: a port, or REFUSED.

    The same whatever the order of ``redirects``: the one whose name sorts first gets a place that two ask for.
    """
    draft = _Draft(node, installed)
    for redirect in sorted(redirects, key=lambda redirect: redirect.name):
        draft.add(redirect)
    return Plan(draft.targets, draft.owners, draft.waiting, draft.conflicts)


Targets = Mapping[Place, Target]


def differing(wanted: Targets, held: Targets) -> tuple[Targets, Targets]:
    """Return the parts of both in which they differ: what a change costs must not grow with what stays as it is."""
    new = {place: target for place, target in wanted.items() if held.get(place) != target}
    old = {place: held[place] for place in new if place in held}
    if len(wanted) - len(new) + len(old) != len(held):
        old |= {place: held[place] for place in held.keys() - wanted.keys()}
    return new, old


class _Draft:
    def __init__(self, node: Node, installed: Mapping[Place, int]) -> None:
        self._node = node
        self._installed = installed
        self.targets: dict[Place, Target] = {}
        self.owners: dict[Place, str] = {}
        self.waiting: dict[str, str] = {}
        self.conflicts: dict[str, str] = {}

    def add(self, redirect: Redirect) -> None:
        for place, restricted in self._places(redirect):
            owner = self.owners.setdefault(place, redirect.name)
            if owner != redirect.name:
                self.conflicts[redirect.name] = f"{place.address} port {place.port} belongs to {owner} already"
                continue
            port = self._port(redirect, place)
            if port is not None:
                self.targets[place] = Target(port, redirect.ranges if restricted else None)

    def _places(self, redirect: Redirect) -> Iterator[tuple[Place, bool]]:
        yield from redirect.places
        for port, restricted in redirect.node_ports:
            for address in self._node.addresses:
                yield Place(address, port), restricted

    def _port(self, redirect: Redirect, place: Place) -> int | None:
        if (place.family, redirect.port) in self._node.listening:
            return redirect.port
        self.waiting[redirect.name] = self._missing(redirect, place.family)
        before = self._installed.get(place)
        if before is None:
            return None
        return before if (place.family, before) in self._node.listening else REFUSED

    def _missing(self, redirect: Redirect, family: int) -> str:
        """Say why there is no listener, in the words of ``redirect.proto``."""
        holder = self._node.held.get((family, redirect.port))
        if holder is not None:
            return (
                f"port held by {holder}: listener {redirect.listener} cannot have port {redirect.port} for IPv{family}"
            )
        return (
            f"waiting for listener {redirect.listener}: no transparent socket listens on port {redirect.port} for "
            f"IPv{family}"
        )
