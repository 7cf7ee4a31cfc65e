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

        With ``look`` after a look at the whole node, otherwise at what is waited for. With ``compare`` whatever the
        kernel holds, otherwise what we left there.
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
            listening, held = self._sockets(sockets.listening(), self._planner.ports)
            return Node(addresses.of_node(), listening, held)
        if not ports:
            return self._node
        listening, held = self._sockets(sockets.listening(ports), ports)
        near = frozenset((family, port) for port in ports for family in (4, 6))
        if listening == self._node.listening & near and held == {
            one: holder for one, holder in self._node.held.items() if one in near
        }:
            return self._node
        elsewhere = frozenset(one for one in self._node.listening if one[1] not in ports)
        others = {one: holder for one, holder in self._node.held.items() if one[1] not in ports}
        return Node(self._node.addresses, elsewhere | listening, others | held)

    def _sockets(
        self, found: Iterable[sockets.Listening], ports: frozenset[int]
    ) -> tuple[frozenset[tuple[int, int]], dict[tuple[int, int], str]]:
        """Return the ports of listeners by family, and who else has one of ``ports``.

        An Envoy whose sockets are not transparent is not somebody else: another port would not help it.
        """
        strangers = []
        ours: set[tuple[int, int]] = set()
        for one in found:
            if one.serves_redirects:
                ours.update((family, one.port) for family in one.families)
            elif one.port in ports:
                strangers.append(one)
        held: dict[tuple[int, int], str] = {}
        for one in strangers:
            program = self._program(one)
            if not program.startswith(_ENVOY):
                held |= {(family, one.port): program for family in one.families if (family, one.port) not in ours}
        return frozenset(ours), held

    def _program(self, one: sockets.Listening) -> str:
        """Return whose socket it is; that is looked up once."""
        if one.inode not in self._owners:
            if len(self._owners) > _MOST_KNOWN:
                self._owners.clear()
            self._owners[one.inode] = owners.of_socket(one.inode)
        return self._owners[one.inode] or f"a program of user {one.user} (socket {one.inode})"
