"""Makes iptables, ipset and policy routing hold a plan."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from nodegate_redirect.contract import Place
from nodegate_redirect.host import bridges, netfilter, routing
from nodegate_redirect.host.commands import find
from nodegate_redirect.iptables import saved, sets
from nodegate_redirect.iptables.chains import FORBIDDING, PROBE, REFUSING, TABLES, Shape, chains
from nodegate_redirect.iptables.own import OwnClients
from nodegate_redirect.iptables.programs import (
    BACKENDS,
    Programs,
    change_sets,
    destroy_set,
    detect_backend,
    saved_sets,
    set_size,
)
from nodegate_redirect.marks import port_of
from nodegate_redirect.mode import Applied, Count
from nodegate_redirect.plan import REFUSED, Plan, Targets

FAMILIES = (4, 6)


class IptablesMode:
    """TPROXY by iptables. ``backend`` is ``nft`` or ``legacy``; None asks which one the node uses.

    Changes come in an order in which every state between is right: sets, then rules for every port old and new, then
    places, then the rules that nothing needs any more go.
    """

    name = "iptables"

    def __init__(self, backend: str | None = None) -> None:
        self._programs = Programs(backend or detect_backend())
        self._known: dict[int, Shape] = {}
        self._held: Targets | None = None
        self._own = OwnClients()
        self._questions = (*_questions(self._programs.backend), *self._own.questions)
        self._left: tuple[bytes, ...] = ()

    def require(self) -> None:
        """Raise UnsupportedError when a program is missing, KernelError when the kernel has not what our rules need."""
        for family in ("ip", "ip6"):
            for what in ("save", "restore"):
                find(f"{family}tables-{self._programs.backend}-{what}", "iptables")
        find("ipset", "ipset")
        find("nft", "nftables")
        for number in FAMILIES:
            self._programs.restore(number, PROBE, test=True)

    def installed(self) -> Mapping[Place, int]:
        """Return where the kernel's sets send each place."""
        found: dict[Place, int] = {}
        for family in FAMILIES:
            found |= sets.ports(self._held_elements(family).marks.items())
        return found

    def apply(self, plan: Plan, *, trust: bool = False) -> Applied:
        """Make the kernel hold the plan; see :class:`nodegate_redirect.mode.Mode`."""
        held, self._held = self._held if trust else None, None
        trust = held is not None
        said = [*(() if trust else routing.ensure()), *self._own.ensure(plan.ports, trust=trust)]
        said += self._compare(plan) if held is None else self._change(plan, held)
        self._own.keep_only(plan.ports)
        self._held = plan.targets
        self._left = netfilter.heads(self._questions)
        return Applied(tuple(said))

    def is_untouched(self) -> bool:
        """Whether the heads of sets and chains are as they were left; legacy chains have none.

        A chain knows how many jumps lead to it, and a set how many rules name it, in legacy tables as well.
        """
        return netfilter.heads(self._questions) == self._left

    def refresh(self) -> Applied:
        """Repair policy routing."""
        return Applied(tuple(routing.ensure()))

    def counters(self) -> Mapping[Place, Count]:
        """Return what was counted for each place; see :class:`nodegate_redirect.mode.Count`."""
        found: dict[Place, Count] = {}
        for family in FAMILIES:
            held = sets.parse(saved_sets(sets.set_names(family)), family)
            found |= held[1] if held else {}
        return found

    def events(self) -> Mapping[str, int]:
        """Return what was refused for want of a listener, and forbidden by source ranges."""
        refused = sum(self._programs.counted(family, REFUSING, "REJECT") for family in FAMILIES)
        forbidden = sum(self._programs.counted(family, FORBIDDING, "DROP") for family in FAMILIES)
        return {"refused": refused, "forbidden": forbidden}

    def cleanup(self, *, shared: bool = True) -> Applied:
        """Remove chains, jumps, sets, and rule and route; of both backends, since the node may have changed it."""
        said: list[str] = []
        for programs in filter(Programs.are_there, map(Programs, BACKENDS)):
            for family in FAMILIES:
                said += _remove_chains(programs, family)
        for family in FAMILIES:
            names = sets.set_names(family)
            there = [line.split()[1] for line in saved_sets(names).splitlines() if line.startswith("create ")]
            for name in there:
                destroy_set(name)
            said += [f"ipset {name}: removed." for name in there]
        said += [*self._own.remove(), *(routing.remove() if shared else ())]
        self._held = None
        return Applied(tuple(said))

    def _change(self, plan: Plan, held: Targets) -> list[str]:
        """Change what differs from what was left behind."""
        new, old = plan.difference(held)
        said: list[str] = []
        for family in FAMILIES:
            lines = sets.difference(family, sets.elements(new, family), sets.elements(old, family))
            said += self._lead(family, self._known[family], plan.ports_of(family), lines)
        return said

    def _compare(self, plan: Plan) -> list[str]:
        """Change what differs from what the kernel holds."""
        said: list[str] = []
        for family in FAMILIES:
            held = self._held_elements(family)
            ports, before = plan.ports_of(family), frozenset(map(port_of, held.marks.values())) - {REFUSED}
            change_sets(sets.create(family))
            shape = Shape(family, ports | before, bridges.are_filtered(family))
            said += self._reshape(None, shape)
            wanted = sets.elements(plan.targets, family)
            lines = sets.difference(family, wanted, held)
            if set_size(sets.set_names(family).traffic) != len(held.marks):  # somebody flushed it: count anew
                lines += sets.count(family, wanted.marks)
            said += self._lead(family, shape, ports, lines)
        return said

    def _lead(self, family: int, shape: Shape, ports: frozenset[int], lines: list[str]) -> list[str]:
        """Change sets while there are rules for every port old and new, and leave those that are needed then."""
        between = replace(shape, ports=shape.ports | ports)
        said = self._reshape(shape, between)
        change_sets(lines)
        if lines:
            said.append(f"IPv{family}: {len(lines)} changes of sets.")
        self._known[family] = replace(shape, ports=ports)
        return said + self._reshape(between, self._known[family])

    def _reshape(self, known: Shape | None, wanted: Shape) -> list[str]:
        """Make chains and jumps of one family what they should be; ``known`` is what they are, if that is known."""
        if known == wanted:
            return []
        family = wanted.family
        if known is not None:
            among = known.ports ^ wanted.ports
            held, new_tables = saved.as_installed(chains(known, among)), set[str]()
            text, said = saved.install(chains(wanted, among), held, new_tables)
        else:
            held = saved.parse(self._programs.save(family))
            new_tables = set(TABLES) - self._programs.tables(family)
            text, said = saved.install(chains(wanted), held, new_tables)
        if text:
            self._programs.restore(family, text)
        return [f"IPv{family} {one}" for one in said]

    def _held_elements(self, family: int) -> sets.Elements:
        held = sets.parse(saved_sets(sets.set_names(family)[:-1]), family)
        return held[0] if held else sets.Elements({}, frozenset(), frozenset())


def _questions(backend: str) -> Iterator[bytes]:
    """Yield the questions for the heads of our sets, and of those chains that are always there."""
    for family in FAMILIES:
        yield from map(netfilter.ipset, sets.set_names(family))
        if backend == "nft":
            named = "ip6" if family == 6 else "ip"
            yield from (netfilter.chain(named, table, name) for table, name in chains(Shape(family)))


def _remove_chains(programs: Programs, family: int) -> list[str]:
    held = saved.parse(programs.save(family))
    made = saved.made_tables(held)
    text, said = saved.removal(held)
    if text:
        programs.restore(family, text)
    for table in made:
        programs.remove_table(family, table)
    return [f"IPv{family} {one}" for one in said]
