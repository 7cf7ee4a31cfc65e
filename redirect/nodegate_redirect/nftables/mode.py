"""Makes one table of nftables and policy routing hold a plan."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from nodegate_redirect.contract import Place
from nodegate_redirect.host import bridges, netfilter, routing
from nodegate_redirect.host.nft import Table, check, counted, elements, nft
from nodegate_redirect.mode import Applied, Count, added
from nodegate_redirect.nft_chains import FAMILIES, open_port
from nodegate_redirect.nft_elements import read_listeners, read_map, read_places, read_traffic
from nodegate_redirect.nftables.rules import PORT_CHAINS, REFUSING, TABLE, body, changes, parse_chain
from nodegate_redirect.plan import REFUSED, Plan, Target, Targets


class NftablesMode:
    """Redirects by nftables. Every change is one transaction; a table that is not ours any more is made anew in one.

    What places are restricted to is not read back from the kernel: where any is, a new process makes the table anew.
    """

    name = "nftables"

    def __init__(self) -> None:
        self._bridged = False
        self._table = _table(bridged=False)
        self._held: Targets | None = None
        self._ports: frozenset[int] = frozenset()
        self._left: tuple[bytes, ...] = ()

    def require(self) -> None:
        """Raise UnsupportedError when nft is missing, KernelError when the kernel does not take our table."""
        port = changes(Plan(uses={(4, 1): 1}), {}, frozenset(), bridged=False)
        check(f"table inet {TABLE}-probe {{\n{body(bridged=False)}}}\n{port.replace(TABLE, f'{TABLE}-probe')}")

    def installed(self) -> Mapping[Place, int]:
        """Return where the kernel's maps send each place."""
        return {place: port for place, port, _ in _read()}

    def apply(self, plan: Plan, *, trust: bool = False) -> Applied:
        """Make the kernel hold the plan; see :class:`nodegate_redirect.mode.Mode`."""
        if trust and self._held is not None:
            said = self._change(plan, self._held)
        else:
            said = [*routing.ensure(), *self._compare(plan)]
        self._left = netfilter.heads(self._table.questions)
        return Applied(tuple(said))

    def is_untouched(self) -> bool:
        """Whether the table's heads are as they were left."""
        return netfilter.heads(self._table.questions) == self._left

    def refresh(self) -> Applied:
        """Repair policy routing."""
        return Applied(tuple(routing.ensure()))

    def counters(self) -> Mapping[Place, Count]:
        """Return what was counted for each place; see :class:`nodegate_redirect.mode.Count`."""
        from_outside = {place: count for place, _, count in _read()}
        own = ((place, count) for place, _, count in read_listeners(TABLE))
        return added(added(from_outside, own), read_traffic(TABLE))

    def events(self) -> Mapping[str, int]:
        """Return what was refused for want of a listener, and forbidden by source ranges."""
        refused, forbidden = counted(TABLE, REFUSING), counted(TABLE, "prerouting")
        return {"refused": refused.get("reject", 0), "forbidden": forbidden.get("drop", 0)}

    def cleanup(self, *, shared: bool = True) -> Applied:
        """Remove the table, and rule and route."""
        self._held, self._left = None, ()
        return Applied((*self._table.remove(), *(routing.remove() if shared else ())))

    def _compare(self, plan: Plan) -> list[str]:
        """Change what differs from what the kernel holds."""
        self._look_at_bridges()
        flushed = self._left and not self.is_untouched()  # of what restricts places, that is all that shows
        if not flushed and self._is_right() and self._held is not None:
            return self._change(plan, self._held)
        said = self._table.replace(changes(plan, {}, frozenset(), bridged=self._bridged))
        self._held, self._ports = plan.targets, plan.ports
        return said

    def _change(self, plan: Plan, held: Targets) -> list[str]:
        text = changes(plan, held, self._ports, bridged=self._bridged)
        if text:
            nft(text)
        self._held, self._ports = plan.targets, plan.ports
        return [f"nftables: {text.count(chr(10))} changes."] if text else []

    def _is_right(self) -> bool:
        """Whether the table is ours, and holds what we left there."""
        if not self._table.is_right():
            return False
        shown = self.installed()
        if self._held is None and not any(elements("set", TABLE, f"restricted{family}") for family in FAMILIES):
            self._held = {place: Target(port) for place, port in shown.items()}
            self._ports = frozenset(shown.values()) - {REFUSED}
        if self._held is None or shown != {place: target.port for place, target in self._held.items()}:
            return False
        return read_places(TABLE) == {place: open_port(target) for place, target in self._held.items()}

    def _look_at_bridges(self) -> None:
        bridged = any(bridges.are_filtered(family) for family in FAMILIES)
        if bridged != self._bridged:
            self._bridged = bridged
            self._table = _table(bridged=bridged)


def _table(*, bridged: bool) -> Table:
    return Table(TABLE, body(bridged=bridged), passing=PORT_CHAINS)


def _read() -> Iterator[tuple[Place, int, Count]]:
    for place, verdict, count in read_map(TABLE, "frontends"):
        yield place, parse_chain(verdict["goto"]["target"]), count
