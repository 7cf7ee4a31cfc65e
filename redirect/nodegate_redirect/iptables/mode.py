"""Makes iptables, ipset and policy routing hold a plan."""

from __future__ import annotations

from collections.abc import Mapping

from nodegate_redirect.contract import Place
from nodegate_redirect.host import bridges, routing
from nodegate_redirect.host.commands import find
from nodegate_redirect.iptables import saved, sets
from nodegate_redirect.iptables.chains import TABLES, Shape, chains
from nodegate_redirect.iptables.programs import BACKENDS, Programs, change_sets, destroy_set, detect_backend, saved_sets
from nodegate_redirect.marks import port_of
from nodegate_redirect.mode import Applied, Count
from nodegate_redirect.plan import REFUSED, Plan
from nodegate_redirect.self_nat import self_nat

FAMILIES = (4, 6)


class IptablesMode:
    """TPROXY by iptables. ``backend`` is ``nft`` or ``legacy``; None asks which one the node uses.

    Changes come in an order in which every state between is right: sets, then rules for every port old and new, then
    places, then the rules that nothing needs any more go.
    """

    name = "iptables"

    def __init__(self, backend: str | None = None) -> None:
        self._programs = Programs(backend or detect_backend())
        self._shapes: dict[int, Shape] = {}
        self._elements: dict[int, sets.Elements] = {}
        self._self_nat = self_nat()

    def require(self) -> None:
        """Raise UnsupportedError when a program is missing."""
        for family in ("ip", "ip6"):
            for what in ("save", "restore"):
                find(f"{family}tables-{self._programs.backend}-{what}", "iptables")
        find("ipset", "ipset")
        find("nft", "nftables")

    def installed(self) -> Mapping[Place, int]:
        """Return where the kernel's sets send each place."""
        found: dict[Place, int] = {}
        for family in FAMILIES:
            found |= sets.ports(self._held_elements(family).marks.items())
        return found

    def apply(self, plan: Plan, *, trust: bool = False) -> Applied:
        """Make the kernel hold the plan; see :class:`nodegate_redirect.mode.Mode`."""
        said = [] if trust and self._shapes else [*routing.ensure(), *self._self_nat.ensure()]
        for family in FAMILIES:
            said += self._apply(plan, family, trust=trust)
        return Applied(tuple(said))

    def counters(self) -> Mapping[Place, Count]:
        """Return what was counted for each place: the packets that began its connections."""
        found: dict[Place, Count] = {}
        for family in FAMILIES:
            held = sets.parse(saved_sets(sets.set_names(family)), family)
            found |= held[1] if held else {}
        return found

    def cleanup(self) -> Applied:
        """Remove chains, jumps, sets, rule and route; of both backends, since the node may have changed it."""
        said: list[str] = []
        for backend in BACKENDS:
            for family in FAMILIES:
                said += _remove_chains(Programs(backend), family)
        for family in FAMILIES:
            names = sets.set_names(family)
            there = [line.split()[1] for line in saved_sets(names).splitlines() if line.startswith("create ")]
            for name in there:
                destroy_set(name)
            said += [f"ipset {name}: removed." for name in there]
        said += [*self._self_nat.remove(), *routing.remove()]
        self._shapes.clear()
        self._elements.clear()
        return Applied(tuple(said))

    def _apply(self, plan: Plan, family: int, *, trust: bool) -> list[str]:
        known = trust and family in self._shapes
        held = self._elements[family] if known else self._held_elements(family)
        wanted = sets.elements(plan.targets, family)
        ports, before = _ports(wanted), _ports(held)
        bridged = self._shapes[family].bridged if known else bridges.are_filtered(family)
        said: list[str] = []
        if not known or not ports <= self._shapes[family].ports:
            change_sets(sets.create(family))
            said += self._shape(Shape(family, ports | before, bridged))
        lines = sets.difference(family, wanted, held)
        change_sets(lines)
        self._elements[family] = wanted
        if self._shapes[family].ports != ports:
            said += self._shape(Shape(family, ports, bridged))
        return said + ([f"IPv{family}: {len(lines)} changes of sets."] if lines else [])

    def _shape(self, shape: Shape) -> list[str]:
        """Make chains and jumps of one family what they should be."""
        text = self._programs.save(shape.family)
        tables = self._programs.tables(shape.family)
        text, said = saved.install(chains(shape), saved.parse(text), set(TABLES) - tables)
        if text:
            self._programs.restore(shape.family, text)
        self._shapes[shape.family] = shape
        return [f"IPv{shape.family} {one}" for one in said]

    def _held_elements(self, family: int) -> sets.Elements:
        held = sets.parse(saved_sets(sets.set_names(family)), family)
        return held[0] if held else sets.Elements({}, frozenset(), frozenset())


def _ports(elements: sets.Elements) -> frozenset[int]:
    return frozenset(port_of(mark) for mark in elements.marks.values()) - {REFUSED}


def _remove_chains(programs: Programs, family: int) -> list[str]:
    held = saved.parse(programs.save(family))
    made = saved.made_tables(held)
    text, said = saved.removal(held)
    if text:
        programs.restore(family, text)
    for table in made:
        programs.remove_table(family, table)
    return [f"IPv{family} {one}" for one in said]
