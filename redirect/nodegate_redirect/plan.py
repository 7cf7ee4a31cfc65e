"""From what is asked for to what the kernel should hold. Pure: what the node looks like is an argument.

The rules, for each frontend (DESIGN 3.3, redirect 3 and 6):

- A socket of a listener listens on the port: the frontend goes there.
- None does, and the frontend goes to another port that has one: it stays there. That is a listener that moves, and
  the new one is not there yet.
- None does, and the frontend was redirected before: its connections are refused, at once and visibly.
- None does, and it never was redirected: it is left alone, and whoever served it goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
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

    ``held`` names the programs that are not Envoy and have a port, ``opaque`` those that have it without a transparent
    socket and are Envoy, or may be, for they cannot be seen.
    """

    addresses: frozenset[str] = frozenset()
    listening: frozenset[tuple[int, int]] = frozenset()
    held: Mapping[tuple[int, int], str] = field(default_factory=dict)
    opaque: Mapping[tuple[int, int], str] = field(default_factory=dict)


Targets = Mapping[Place, Target]


@dataclass(frozen=True, slots=True)
class Plan:
    """What the kernel should hold.

    ``owners`` names the redirect of each place; ``waiting`` says for redirects that are not installed as asked why,
    and ``conflicts`` for those that never will be. ``uses`` counts the places that go to a port, by family and port.
    ``changed`` are the places in which it differs from the plan whose targets are ``base``, if it was made from one.
    """

    targets: Targets = field(default_factory=dict)
    owners: Mapping[Place, str] = field(default_factory=dict)
    waiting: Mapping[str, str] = field(default_factory=dict)
    conflicts: Mapping[str, str] = field(default_factory=dict)
    uses: Mapping[tuple[int, int], int] = field(default_factory=dict)
    base: Targets | None = field(default=None, compare=False, repr=False)
    changed: AbstractSet[Place] = field(default_factory=frozenset, compare=False, repr=False)

    @property
    def ports(self) -> frozenset[int]:
        """The ports of listeners that something goes to."""
        return frozenset(port for _, port in self.uses)

    def ports_of(self, family: int) -> frozenset[int]:
        """Return the ports that something of a family goes to."""
        return frozenset(port for of, port in self.uses if of == family)

    def difference(self, held: Targets) -> tuple[Targets, Targets]:
        """Return the parts of this and of what is held in which they differ.

        What that costs does not grow with what stays as it is, where this plan was made from the one that is held.
        """
        among = self.changed if held is self.base else self.targets.keys() | held.keys()
        differ = sorted(place for place in among if self.targets.get(place) != held.get(place))
        new = {place: self.targets[place] for place in differ if place in self.targets}
        return new, {place: held[place] for place in differ if place in held}


def make_plan(redirects: Iterable[Redirect], node: Node, installed: Mapping[Place, int]) -> Plan:
    """Return what the kernel should hold. ``installed`` is where it sends each place now: a port, or REFUSED.

    The same whatever the order of ``redirects``: the one whose name sorts first gets a place that two ask for.
    """
    draft = Draft(node, installed.get, Plan())
    for redirect in sorted(redirects, key=lambda redirect: redirect.name):
        draft.add(redirect)
    return draft.plan()


class Draft:
    """A plan in the making, from another one. ``before`` says where the kernel sends a place now."""

    def __init__(self, node: Node, before: Callable[[Place], int | None], plan: Plan) -> None:
        self._node = node
        self._addresses = sorted(node.addresses)
        self._before = before
        self._base = plan.targets
        self._targets = dict(plan.targets)
        self._owners = dict(plan.owners)
        self._waiting = dict(plan.waiting)
        self._conflicts = dict(plan.conflicts)
        self._uses = dict(plan.uses)
        self._touched: set[Place] = set()

    def plan(self) -> Plan:
        """Return what has been made."""
        changed = {place for place in self._touched if self._targets.get(place) != self._base.get(place)}
        made = (self._targets, self._owners, self._waiting, self._conflicts, self._uses)
        return Plan(*made, base=self._base, changed=changed)

    def add(self, redirect: Redirect) -> None:
        """Take a redirect in. Of those that ask for one place the first that comes gets it."""
        for place, restricted in self.places(redirect):
            owner = self._owners.setdefault(place, redirect.name)
            if owner != redirect.name:
                self._conflicts[redirect.name] = f"{place.address} port {place.port} belongs to {owner} already"
                continue
            port = self._port(redirect, place)
            if port is not None:
                self._put(place, Target(port, redirect.ranges if restricted else None))

    def remove(self, redirect: Redirect) -> None:
        """Leave a redirect out, and whatever was said of it."""
        self._waiting.pop(redirect.name, None)
        self._conflicts.pop(redirect.name, None)
        for place, _ in self.places(redirect):
            if self._owners.get(place) == redirect.name:
                del self._owners[place]
                self._put(place, None)

    def owners(self, redirect: Redirect) -> set[str]:
        """Return whose the places are that a redirect asks for."""
        return {self._owners[place] for place, _ in self.places(redirect) if place in self._owners}

    def places(self, redirect: Redirect) -> Iterator[tuple[Place, bool]]:
        """Yield every place of a redirect, and whether it is restricted.

        A node port is on the node's addresses of the families that the Service has addresses of, as with kube-proxy.
        """
        yield from redirect.places
        families = {place.family for place, _ in redirect.places} or {4, 6}
        for port, restricted in redirect.node_ports:
            places = (Place(address, port) for address in self._addresses)
            yield from ((place, restricted) for place in places if place.family in families)

    def _put(self, place: Place, target: Target | None) -> None:
        self._touched.add(place)
        old = self._targets.pop(place, None)
        if target is not None:
            self._targets[place] = target
        for one, step in ((old, -1), (target, 1)):
            if one is not None and one.port != REFUSED:
                key = (place.family, one.port)
                self._uses[key] = self._uses.get(key, 0) + step
                if not self._uses[key]:
                    del self._uses[key]

    def _port(self, redirect: Redirect, place: Place) -> int | None:
        wanted = (place.family, redirect.port)
        holder, served = self._node.held.get(wanted), wanted in self._node.listening
        if holder is not None:  # who is in the way matters most
            self._waiting[redirect.name] = _held(redirect, place.family, holder, shared=served)
        elif not served and redirect.name not in self._waiting:
            self._waiting[redirect.name] = _missing(redirect, place.family, self._node.opaque.get(wanted))
        if served:
            return redirect.port
        before = self._before(place)
        if before is None:
            return None
        return before if (place.family, before) in self._node.listening else REFUSED


def _held(redirect: Redirect, family: int, holder: str, *, shared: bool) -> str:
    """Say who has the port of a listener, in the words of ``redirect.proto``."""
    if shared:
        return (
            f"port held by {holder}: it shares port {redirect.port} for IPv{family} with listener {redirect.listener} "
            "and gets a part of its connections"
        )
    return f"port held by {holder}: listener {redirect.listener} cannot have port {redirect.port} for IPv{family}"


def _missing(redirect: Redirect, family: int, opaque: str | None) -> str:
    """Say why there is no listener, in the words of ``redirect.proto``."""
    waiting = f"waiting for listener {redirect.listener}: "
    if opaque is None:
        return f"{waiting}no transparent socket listens on port {redirect.port} for IPv{family}"
    return (
        f"{waiting}{opaque} listens on port {redirect.port} for IPv{family}, but its socket is not transparent. "
        "If that is Envoy, give it the bootstrap of `nodegate bootstrap --redirect` and NET_ADMIN; if not, Envoy "
        "refuses the port and the listener moves"
    )
