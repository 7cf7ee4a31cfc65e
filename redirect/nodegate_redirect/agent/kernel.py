"""Everything of the agent that blocks: looks at the node, plans, lets the mode apply the plan. Used by one thread."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from nodegate_redirect.contract import Place, Redirect
from nodegate_redirect.errors import RedirectError
from nodegate_redirect.host import addresses, owners, sockets
from nodegate_redirect.mode import Count, Mode
from nodegate_redirect.plan import Node, Plan
from nodegate_redirect.planner import Planner

_ENVOY = "envoy "  # its program's name, before its number
_MOST_KNOWN = 256  # sockets of others
_MOST_PORTS = 16
"""Up to so many ports are asked for one by one: with 10,000 listeners asking for all takes a quarter of a second."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of bringing the kernel to what is asked for.

    ``plan`` is what it should hold and ``node`` what the node looked like; ``changes`` are sentences; ``error`` is what
    the kernel refused, empty when it holds the plan. ``compared``: it was looked whether it still does. ``repaired``:
    something was not as we left it. ``seconds`` is what it all took, ``looking`` the part of looking at the node.
    """

    plan: Plan = field(default_factory=Plan)
    node: Node = field(default_factory=Node)
    changes: tuple[str, ...] = ()
    error: str = ""
    compared: bool = False
    repaired: bool = False
    seconds: float = 0.0
    looking: float = 0.0


class Kernel:
    """The node's kernel under one mode.

    ``others`` are the modes that may have left something behind: it goes when this one holds everything, not before.
    """

    def __init__(self, mode: Mode, others: Sequence[Mode] = ()) -> None:
        self.mode = mode
        self._others = list(others)
        self._planner = Planner()
        self._node = Node()
        self._trusted = False
        self._owners: dict[int, str] = {}

    def bring(self, news: Mapping[str, Redirect | None], *, look: bool, compare: bool) -> Outcome:
        """Make the kernel hold what is asked for now, ``news`` included.

        With ``look`` after a look at the whole node, otherwise at what is waited for. With ``compare``, or where a
        stranger was at our rules, whatever the kernel holds, otherwise from what we left there.
        """
        start = time.monotonic()
        compare = compare or not self._trusted
        self._planner.ask(news)
        changes: tuple[str, ...] = ()
        error, looked, repaired = "", start, False
        try:
            if look and not compare:
                changes += self.mode.refresh().changes
                repaired = bool(changes)
            compare = compare or not self.mode.is_untouched()
            self._node = self._look(whole=look or compare)
            looked = time.monotonic()
            changes += self._compare() if compare else self._change()
            repaired = repaired or (compare and bool(changes))
        except RedirectError as failure:
            error = str(failure)
        self._trusted = not error  # otherwise, who knows how far it came
        seconds = time.monotonic() - start
        return Outcome(self._planner.plan, self._node, changes, error, compare, repaired, seconds, looked - start)

    def counters(self) -> tuple[Mapping[Place, Count], Mapping[str, int]]:
        """Return what was counted: for each place, and else."""
        return self.mode.counters(), self.mode.events()

    def _change(self) -> tuple[str, ...]:
        """Change what differs from what we left in the kernel."""
        before = self._planner.plan
        plan = self._planner.update(self._node)
        return self.mode.apply(plan, trust=True).changes if plan is not before else ()

    def _compare(self) -> tuple[str, ...]:
        """Change what differs from what the kernel holds, in this mode or in one that was used before."""
        held: dict[Place, int] = {}
        for mode in (*self._others, self.mode):
            held |= mode.installed()
        changes = self.mode.apply(self._planner.restart(self._node, held)).changes
        while self._others:
            changes += self._others[-1].cleanup(shared=False).changes
            self._others.pop()
        return changes

    def _look(self, *, whole: bool) -> Node:
        """Return what the node looks like, as far as what is asked for needs to know it."""
        ports = self._planner.open_ports
        if whole or len(ports) > _MOST_PORTS:
            return self._with_sockets(Node(addresses.of_node()), sockets.listening(), self._planner.ports)
        if not ports:
            return self._node
        known = self._node
        elsewhere = Node(
            known.addresses,
            frozenset(one for one in known.listening if one[1] not in ports),
            {one: holder for one, holder in known.held.items() if one[1] not in ports},
            {one: holder for one, holder in known.opaque.items() if one[1] not in ports},
        )
        now = self._with_sockets(elsewhere, sockets.listening(ports), ports)
        return known if now == known else now

    def _with_sockets(self, node: Node, found: Iterable[sockets.Listening], ports: frozenset[int]) -> Node:
        """Return the node with these sockets: the ports of listeners, and who else has one of ``ports``.

        An Envoy whose sockets are not transparent is not somebody else: another port would not help it. A program that
        cannot be seen may be one. If it is not, Envoy itself refuses the port.
        """
        strangers = []
        ours: set[tuple[int, int]] = set()
        for one in found:
            if one.serves_redirects:
                ours.update((family, one.port) for family in one.families)
            elif one.port in ports:
                strangers.append(one)
        held, opaque = dict(node.held), dict(node.opaque)
        for one in strangers:
            program = self._program(one)
            places = [(family, one.port) for family in one.families]
            if program and not program.startswith(_ENVOY):  # on any address, it shares a port that Envoy has as well
                held |= {place: program for place in places if one.wildcard or place not in ours}
            else:
                unseen = f"a program of user {one.user} that this agent cannot see (socket {one.inode})"
                opaque |= {place: program or unseen for place in places if place not in ours}
        return Node(node.addresses, node.listening | ours, held, opaque)

    def _program(self, one: sockets.Listening) -> str:
        """Return whose socket it is, empty where that cannot be seen; that is looked up once."""
        if one.inode not in self._owners:
            if len(self._owners) > _MOST_KNOWN:
                self._owners.clear()
            self._owners[one.inode] = owners.of_socket(one.inode)
        return self._owners[one.inode]
