"""Everything of the agent that blocks: looks at the node, plans, lets the mode apply the plan. Used by one thread."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from nodegate_redirect.contract import Place, Redirect
from nodegate_redirect.errors import KernelError
from nodegate_redirect.host import addresses, owners, sockets
from nodegate_redirect.mode import Count, Mode
from nodegate_redirect.plan import Node, Plan, make_plan

_ENVOY = "envoy "  # its program's name, before its number


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of bringing the kernel to what is asked for.

    ``plan`` is what it should hold and ``node`` what the node looked like; ``changes`` are sentences; ``error`` is what
    the kernel refused, empty when it holds the plan. ``compared``: it was looked whether it still does.
    """

    plan: Plan = field(default_factory=Plan)
    node: Node = field(default_factory=Node)
    changes: tuple[str, ...] = ()
    error: str = ""
    compared: bool = False
    seconds: float = 0.0


class Kernel:
    """The node's kernel under one mode.

    ``others`` are the modes that may have left something behind: it goes when this one holds everything, not before.
    """

    def __init__(self, mode: Mode, others: Sequence[Mode] = ()) -> None:
        self.mode = mode
        self._others = list(others)
        self._held: Mapping[Place, int] | None = None
        self._owners: dict[int, str] = {}

    def look(self, redirects: Iterable[Redirect]) -> Node:
        """Return what the node looks like, as far as these redirects need to know it."""
        found = sockets.listening()
        ours = frozenset((family, one.port) for one in found if one.serves_redirects for family in one.families)
        ports = {redirect.port for redirect in redirects}
        strangers = [one for one in found if one.port in ports and not one.serves_redirects]
        return Node(addresses.of_node(), ours, self._holders(strangers, ours))

    def bring(self, redirects: Sequence[Redirect], node: Node, *, compare: bool) -> Outcome:
        """Make the kernel hold what is asked for; with ``compare`` whatever it holds now, otherwise what we left."""
        start = time.monotonic()
        compare = compare or self._held is None
        plan = Plan()
        try:
            plan = make_plan(redirects, node, self._installed(compare=compare))
            changes = self._apply(plan, compare=compare)
        except KernelError as error:
            self._held = None  # who knows how far it came
            return Outcome(plan, node, (), str(error), compare, time.monotonic() - start)
        self._held = {place: target.port for place, target in plan.targets.items()}
        return Outcome(plan, node, changes, "", compare, time.monotonic() - start)

    def counters(self) -> tuple[Mapping[Place, Count], Mapping[str, int]]:
        """Return what was counted: for each place, and else."""
        return self.mode.counters(), self.mode.events()

    def _installed(self, *, compare: bool) -> Mapping[Place, int]:
        if not compare and self._held is not None:
            return self._held
        held: dict[Place, int] = {}
        for mode in (*self._others, self.mode):
            held |= mode.installed()
        return held

    def _apply(self, plan: Plan, *, compare: bool) -> tuple[str, ...]:
        changes = self.mode.apply(plan, trust=not compare).changes
        while self._others:
            changes += self._others[-1].cleanup(shared=False).changes
            self._others.pop()
        return changes

    def _holders(
        self, strangers: Iterable[sockets.Listening], ours: frozenset[tuple[int, int]]
    ) -> Mapping[tuple[int, int], str]:
        """Return who else has a port that no listener has; a program is looked up when its socket is new.

        An Envoy whose sockets are not transparent is not somebody else: another port would not help it.
        """
        programs = self._programs({one.inode for one in strangers})
        held: dict[tuple[int, int], str] = {}
        for one in strangers:
            program = programs[one.inode]
            if not program.startswith(_ENVOY):
                word = program or f"a program of user {one.user} (socket {one.inode})"
                held |= {(family, one.port): word for family in one.families if (family, one.port) not in ours}
        return held

    def _programs(self, inodes: set[int]) -> Mapping[int, str]:
        if unknown := inodes - self._owners.keys():
            found = owners.of_sockets(unknown)
            self._owners |= {inode: found.get(inode, "") for inode in unknown}
        self._owners = {inode: self._owners[inode] for inode in inodes}
        return self._owners
