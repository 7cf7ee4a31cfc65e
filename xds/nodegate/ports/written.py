"""Ports that are claimed in a cluster: on the Service of each Ingress, where every replica reads them (DESIGN 3.6).

A listener has the port that its Service says, from the moment that is heard of, and on every replica the same. Where
two Services say one port, the older keeps it. What has to be written so that every listener has a port, ``to_write``,
follows here as well: from the listener's name, as in :mod:`nodegate.ports.allocation`. Who writes it is decided
elsewhere.

A claim that somebody takes off a Service stays in force here, and is written again: a listener that is served is not
cut off for a slip.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain

from nodegate.model.changes import Claimed, ObjectChange, Upsert
from nodegate.model.generated_service import SERVICE_PORTS, claimed_ports, frontend_of, refused_ports
from nodegate.model.objects import Service
from nodegate.model.problem import Problem
from nodegate.model.refs import Kind, Ref
from nodegate.ports.contract import Outcome
from nodegate.ports.problems import Refusals, exhausted, problems_of
from nodegate.ports.range import PortRange
from nodegate.ports.resting import Resting

Age = tuple[str, str]


class WrittenClaims:
    """The claims that Services carry (:class:`Ports`). The same Services and listeners give the same, in any order.

    ``proposed`` are the ports that are to be written for listeners that have none, or one that is refused. ``moved``
    are the listeners that have, or are said to have, a port that a node refused to a stream of this replica.
    """

    def __init__(self, publish: tuple[str, str], ports: PortRange | None = None) -> None:
        """``publish`` is the Service of the shared listeners: namespace and name."""
        self.range = ports or PortRange()
        self.revision = 0
        """Stays: nothing is kept here."""
        self.proposed: dict[str, int] = {}
        self.moved: set[str] = set()
        self.on_change: Callable[[Iterable[str]], None] = lambda _: None
        """Called with the listeners for which something else may have to be written."""
        self._publish = publish
        self._wanted: set[str] = set()
        self._port_of: dict[str, int] = {}
        self._taken: dict[int, str] = {}
        self._planned: dict[int, str] = {}
        self._waiting: set[str] = set()
        self._resting = Resting()
        self._refusals = Refusals()
        self._said: dict[Ref, dict[str, int]] = {}
        self._bases: dict[Ref, str] = {}
        self._written: dict[str, int] = {}
        self._claimants: dict[int, dict[str, Age]] = {}
        self._touched: set[str] = set()

    @property
    def ports(self) -> Mapping[str, int]:
        """The port of each listener that has one."""
        return self._port_of

    @property
    def waiting(self) -> frozenset[str]:
        """The listeners that want a port and for which none is free."""
        return frozenset(self._waiting)

    @property
    def has_news(self) -> bool:
        """Whether a Service said something that :meth:`change` has not decided on."""
        return bool(self._touched)

    def wants(self, listener: str) -> bool:
        """Return whether a listener wants a port."""
        return listener in self._wanted

    def to_write(self, listener: str) -> int | None:
        """Return the port that a Service has to say for a listener; None where no port is free."""
        return self.proposed.get(listener, self._port_of.get(listener))

    def refused(self, listener: str) -> frozenset[int]:
        """Return the ports that a listener must not have; its Service says them too."""
        return self._refusals.of(listener)

    # --- What is read -------------------------------------------------------------------------------------------------

    def reads(self, change: ObjectChange) -> bool:
        """Whether a change is of a Service of ours."""
        if change.ref in self._said:
            return True
        service = change.object if isinstance(change, Upsert) else None
        return isinstance(service, Service) and bool(frontend_of(service, self._publish))

    def observe(self, changes: Iterable[ObjectChange]) -> None:
        """Read the claims on Services of ours."""
        for change in changes:
            if change.ref.kind is Kind.SERVICE:
                service = change.object if isinstance(change, Upsert) else None
                self._read(change.ref, service if isinstance(service, Service) else None)

    def _read(self, ref: Ref, service: Service | None) -> None:
        base = frontend_of(service, self._publish) if service else ""
        for listener, port in self._said.pop(ref, {}).items():
            self._unsay(listener, port)
        self._read_refused(ref, base, service)
        if not base or service is None:
            return
        said = {f"{base}/{scheme}": port for scheme, port in claimed_ports(service).items() if port in self.range}
        self._said[ref] = said
        created = service.metadata.creation_timestamp
        age = (created.isoformat() if created else "", f"{ref.namespace}/{ref.name}")
        for listener, port in said.items():
            self._written[listener] = port
            self._claimants.setdefault(port, {})[listener] = age
            self._touch(listener, port)

    def _read_refused(self, ref: Ref, base: str, service: Service | None) -> None:
        """Only what is written now counts: replicas hear of it at different times, and have to agree in the end."""
        for one in {self._bases.pop(ref, ""), base} - {""}:
            refused = refused_ports(service) if service and one == base else ()
            for scheme in SERVICE_PORTS:
                if self._refusals.say(f"{one}/{scheme}", (port for named, port in refused if named == scheme)):
                    self._touched.add(f"{one}/{scheme}")
        if base:
            self._bases[ref] = base

    def _unsay(self, listener: str, port: int) -> None:
        self._written.pop(listener, None)
        self._touch(listener, port)
        claimants = self._claimants[port]
        claimants.pop(listener, None)
        if not claimants:
            del self._claimants[port]

    def _touch(self, listener: str, port: int) -> None:
        """Let those be decided anew whom this port may concern."""
        self._touched |= {listener, *self._claimants.get(port, ())}
        self._touched |= self._holders(port)

    # --- What follows -------------------------------------------------------------------------------------------------

    def settle(self, wanted: Iterable[str], now: float) -> Outcome:
        """After the first listing: these are all listeners that want a port."""
        names = dict.fromkeys(wanted, 0)
        gone: dict[str, object | None] = {name: None for name in self._wanted if name not in names}
        return self.change(names | gone, now)

    def change(self, wanted: Mapping[str, object | None], now: float) -> Outcome:
        """Listeners want a port, or do not any more (None); they have it once a Service of theirs says so."""
        self._resting.wake(now)
        self._wanted.update(name for name, value in wanted.items() if value is not None)
        self._wanted.difference_update(name for name, value in wanted.items() if value is None)
        waited = frozenset(self._waiting)
        touched = self._neighbours(self._touched | wanted.keys())
        self._touched = set()
        claims = self._claim(touched, now)
        self._propose(sorted(touched | waited))
        self._note_moved(touched | waited)
        self.on_change(touched | waited)
        forgotten = {name for name, value in wanted.items() if value is None and self._refusals.forget(name)}
        return Outcome(tuple(claims), self._problems(waited ^ self._waiting | forgotten))

    def refuse(self, listener: str, port: int, node: str, now: float) -> Outcome:
        """Propose another port: a node cannot use this one. The listener stays there until that one is written."""
        self._resting.wake(now)
        if not self._refusals.add(listener, port, node):
            return Outcome()
        if self.to_write(listener) == port:
            self._propose([listener])
            self._note_moved([listener])
            self.on_change([listener])
        return Outcome((), self._problems({listener}))

    def retry(self, now: float) -> Outcome:
        """Try again for the listeners that wait."""
        return self.change({}, now)

    def next_wake(self) -> float | None:
        """Return when a port may be free for a listener that waits (Unix seconds); None when none waits."""
        return self._resting.first_end() if self._waiting else None

    def _neighbours(self, listeners: Iterable[str]) -> set[str]:
        """Return these listeners, and those that have or claim a port which they claim or give up."""
        found = set(listeners)
        for listener in tuple(found):
            for port in {self._written.get(listener), self._port_of.get(listener)}:
                found |= self._holders(port) | self._claimants.get(port, {}).keys() if port else set()
        return found

    def _holders(self, port: int) -> set[str]:
        """Return who has a port, and who is to get it."""
        return {holders[port] for holders in (self._taken, self._planned) if port in holders}

    def _claim(self, listeners: Iterable[str], now: float) -> Iterator[Claimed]:
        """Make what is due in force: what is given up first, so that no two listeners are ever at one port."""
        due = {listener: self._due(listener) for listener in sorted(listeners)}
        moves = {listener: port for listener, port in due.items() if port != self._port_of.get(listener)}
        for listener in moves:
            before = self._port_of.pop(listener, None)
            if before is not None:
                del self._taken[before]
                self._resting.begin(before, listener, now)
        claims = []
        for listener, port in moves.items():
            if port is not None:
                self._port_of[listener], self._taken[port] = port, listener
                self._resting.end(port)
            claims.append(Claimed(listener, port))
        return iter(sorted(claims, key=lambda claimed: (claimed.port is not None, claimed.listener)))

    def _due(self, listener: str) -> int | None:
        """Return the port that a listener is to have now."""
        if listener not in self._wanted:
            return None
        written, before = self._written.get(listener), self._port_of.get(listener)
        if written is not None and written not in self._refusals.of(listener) and self._first(written) == listener:
            return written
        return before if before is not None and self._first(before) in {None, listener} else None

    def _first(self, port: int) -> str | None:
        """Return who of those that want a listener claimed a port first."""
        claimants = self._claimants.get(port, {})
        able = (one for one in claimants if one in self._wanted and port not in self._refusals.of(one))
        return min(able, key=lambda one: (claimants[one], one), default=None)

    # --- What has to be written ---------------------------------------------------------------------------------------

    def _propose(self, listeners: Iterable[str]) -> None:
        """Choose ports for those that have none they can stay at; what was chosen before stays while it is free."""
        for listener in listeners:
            self._waiting.discard(listener)
            before = self.proposed.pop(listener, None)
            if before is not None:
                self._planned.pop(before, None)
            refused = self._refusals.of(listener)
            if listener in self._wanted and self._port_of.get(listener, 0) in {0, *refused}:
                self._choose(listener, before, refused)

    def _note_moved(self, listeners: Iterable[str]) -> None:
        """Note which have, or are said to have, a port that a node refused to a stream of this replica."""
        for listener in listeners:
            ports = {self._port_of.get(listener), self._written.get(listener)}
            moves = listener in self._wanted and not ports.isdisjoint(self._refusals.seen(listener))
            (self.moved.add if moves else self.moved.discard)(listener)

    def _choose(self, listener: str, before: int | None, refused: frozenset[int]) -> None:
        full = len(self._taken) + len(self._planned) + len(self._resting) >= len(self.range)
        first = (before, self._resting.port_had_by(listener, refused))
        candidates = chain(filter(None, first), () if full else self.range.probe(listener))
        port = next((port for port in candidates if port not in refused and self._is_free(port, listener)), None)
        if port is None:
            self._waiting.add(listener)
            return
        self.proposed[listener], self._planned[port] = port, listener

    def _is_free(self, port: int, listener: str) -> bool:
        others = port in self._taken or port in self._planned or self._claimants.get(port, {}).keys() - {listener}
        return not others and (port not in self._resting or self._resting.had(port) == listener)

    def _problems(self, listeners: Iterable[str]) -> Mapping[Ref, tuple[Problem, ...]]:
        return problems_of(listeners, self._waiting, self._full, self._refusals, self.to_write)

    def _full(self, listener: str) -> Problem:
        return exhausted(listener, self.range, len(self._taken), len(self._resting))
