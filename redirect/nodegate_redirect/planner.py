"""Keeps a plan up to date at the cost of what changed: with 10,000 Services a plan from nothing takes 0.4 s. Pure.

It is the same plan that :func:`nodegate_redirect.plan.make_plan` makes, after any history.
"""

from __future__ import annotations

from collections.abc import Mapping

from nodegate_redirect.contract import Place, Redirect
from nodegate_redirect.plan import Draft, Node, Plan, make_plan


class Planner:
    """What is asked for, and the plan for it. ``plan`` is what the last call returned."""

    def __init__(self) -> None:
        self.plan = Plan()
        self.asked: dict[str, Redirect] = {}
        self._changed: dict[str, Redirect | None] = {}
        self._names: dict[int, set[str]] = {}
        self._node = Node()

    def ask(self, changes: Mapping[str, Redirect | None]) -> None:
        """Take in what is asked for now under these names, None for nothing; the next plan goes by it."""
        for name, redirect in changes.items():
            old = self.asked.pop(name, None)
            self._changed.setdefault(name, old)
            if old is not None:
                self._names[old.port].discard(name)
            if redirect is not None:
                self.asked[name] = redirect
                self._names.setdefault(redirect.port, set()).add(name)

    @property
    def open_ports(self) -> frozenset[int]:
        """The ports of listeners that something waits for, or that are asked for newly."""
        names = self._changed.keys() | self.plan.waiting.keys()
        return frozenset(self.asked[name].port for name in names if name in self.asked)

    @property
    def ports(self) -> frozenset[int]:
        """The ports of all listeners that are asked for."""
        return frozenset(port for port, names in self._names.items() if names)

    def restart(self, node: Node, installed: Mapping[Place, int]) -> Plan:
        """Return the plan made from nothing; ``installed`` is where the kernel sends each place now."""
        self.plan = make_plan(self.asked.values(), node, installed)
        self._node = node
        self._changed.clear()
        return self.plan

    def update(self, node: Node) -> Plan:
        """Return the plan made from the last one, which is what the kernel holds."""
        held = self.plan.targets
        if node.addresses != self._node.addresses:
            return self.restart(node, {place: target.port for place, target in held.items()})
        if not self._changed and node == self._node:
            return self.plan
        draft = Draft(node, lambda place: held[place].port if place in held else None, self.plan)
        before = {name: self._changed.get(name, self.asked.get(name)) for name in self._affected(node, draft)}
        for old in before.values():
            if old is not None:
                draft.remove(old)
        for name in sorted(before):
            if name in self.asked:
                draft.add(self.asked[name])
        self.plan = draft.plan()
        self._node = node
        self._changed.clear()
        return self.plan

    def _affected(self, node: Node, draft: Draft) -> set[str]:
        """Return every redirect that may come out differently: who changed, and who shares a place with one that did.

        Nobody else waits: what waits is looked at again whenever sockets come or go.
        """
        names = set(self._changed)
        before = self._node
        if (node.listening, node.held, node.opaque) != (before.listening, before.held, before.opaque):
            names |= self.plan.waiting.keys()
            for _, port in (node.listening ^ before.listening) | (node.held.keys() ^ before.held.keys()):
                names |= self._names.get(port, set())
        if names:
            names |= self.plan.conflicts.keys()
        return self._with_owners(names, draft)

    def _with_owners(self, names: set[str], draft: Draft) -> set[str]:
        """Return these names and those whose places they ask for, and so on."""
        found, new = set(names), set(names)
        while new:
            asked = [self.asked[name] for name in new if name in self.asked]
            new = set[str]().union(*(draft.owners(redirect) for redirect in asked)) - found
            found |= new
        return found
