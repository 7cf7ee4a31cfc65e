"""Makes iptables, ipset and policy routing hold a plan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from nodegate_redirect.contract import Place
from nodegate_redirect.host import bridges, routing
from nodegate_redirect.host.commands import find
from nodegate_redirect.iptables import saved, sets
from nodegate_redirect.iptables.chains import TABLES, Shape, chains
from nodegate_redirect.iptables.programs import BACKENDS, Programs, change_sets, destroy_set, detect_backend, saved_sets
from nodegate_redirect.marks import port_of
from nodegate_redirect.mode import Applied, Count
from nodegate_redirect.plan import REFUSED, Plan, Targets, differing
from nodegate_redirect.self_nat import self_nat

FAMILIES = (4, 6)


@dataclass(frozen=True, slots=True)
class _Known:
    """What the last application left behind, of one family."""

    shape: Shape
    targets: Targets


class IptablesMode:
    """TPROXY by iptables. ``backend`` is ``nft`` or ``legacy``; None asks which one the node uses.

    Changes come in an order in which every state between is right: sets, then rules for every port old and new, then
    places, then the rules that nothing needs any more go.
    """

    name = "iptables"

    def __init__(self, backend: str | None = None) -> None:
        self._programs = Programs(backend or detect_backend())
        self._known: dict[int, _Known] = {}
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
        said = [] if trust and self._known else [*routing.ensure(), *self._self_nat.ensure()]
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

    def events(self) -> Mapping[str, int]:
        """Return nothing: places are all that is counted."""
        return {}

    def cleanup(self, *, shared: bool = True) -> Applied:
        """Remove chains, jumps, sets, and rule and route; of both backends, since the node may have changed it."""
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
        said += [*self._self_nat.remove(), *(routing.remove() if shared else ())]
        self._known.clear()
        return Applied(tuple(said))

    def _apply(self, plan: Plan, family: int, *, trust: bool) -> list[str]:
        wanted = {place: target for place, target in plan.targets.items() if place.family == family}
        known = self._known.get(family) if trust else None
        new, held = self._compared(wanted, known, family)
        ports = frozenset(target.port for target in wanted.values()) - {REFUSED}
        before = known.shape.ports if known else frozenset(map(port_of, held.marks.values())) - {REFUSED}
        bridged = known.shape.bridged if known else bridges.are_filtered(family)
        said: list[str] = []
        shape = known.shape if known else None
        if shape is None or not ports <= before:
            change_sets(sets.create(family))
            shape, said = self._reshape(shape, Shape(family, ports | before, bridged))
        lines = sets.difference(family, new, held)
        change_sets(lines)
        if shape.ports != ports:
            shape, more = self._reshape(shape, Shape(family, ports, bridged))
            said += more
        self._known[family] = _Known(shape, wanted)
        return said + ([f"IPv{family}: {len(lines)} changes of sets."] if lines else [])

    def _compared(self, wanted: Targets, known: _Known | None, family: int) -> tuple[sets.Elements, sets.Elements]:
        """Return the elements that may have to change: as wanted, and as they are."""
        if known is None:
            return sets.elements(wanted, family), self._held_elements(family)
        new, old = differing(wanted, known.targets)
        return sets.elements(new, family), sets.elements(old, family)

    def _reshape(self, known: Shape | None, wanted: Shape) -> tuple[Shape, list[str]]:
        """Make chains and jumps of one family what they should be; ``known`` is what they are, if that is known."""
        family = wanted.family
        if known is not None:
            held, new_tables = saved.as_installed(chains(known)), set[str]()
        else:
            held = saved.parse(self._programs.save(family))
            new_tables = set(TABLES) - self._programs.tables(family)
        text, said = saved.install(chains(wanted), held, new_tables)
        if text:
            self._programs.restore(family, text)
        return wanted, [f"IPv{family} {one}" for one in said]

    def _held_elements(self, family: int) -> sets.Elements:
        held = sets.parse(saved_sets(sets.set_names(family)), family)
        return held[0] if held else sets.Elements({}, frozenset(), frozenset())


def _remove_chains(programs: Programs, family: int) -> list[str]:
    held = saved.parse(programs.save(family))
    made = saved.made_tables(held)
    text, said = saved.removal(held)
    if text:
        programs.restore(family, text)
    for table in made:
        programs.remove_table(family, table)
    return [f"IPv{family} {one}" for one in said]
