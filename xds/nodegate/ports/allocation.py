"""Which listener has which port: by the hash of its name, then linear probing, and never two on one port.

The hash makes replicas that share no state agree on nearly every port; claims that collide are told apart by order,
which is the sorted order of names within one call. A port that was given up rests, because the node agents' rules and
the clients' connections outlive it (redirect 5); only its former listener may have it back during that time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b

from nodegate.model.changes import Claimed
from nodegate.model.problem import Problem, ProblemCode
from nodegate.model.refs import Kind, Ref

REST_SECONDS = 300.0
"""How long a freed port is given to nobody but its former listener (redirect 5)."""

PORTS_EXHAUSTED = ProblemCode(
    "PortsExhausted",
    "Every port of the range belongs to a listener or rests after use, so this listener cannot be made. The others are "
    "not touched, and it is made as soon as a port is free.",
    "Delete Ingresses that are not needed; their ports can be used again 5 minutes later.",
)


@dataclass(frozen=True, slots=True)
class PortRange:
    """The ports that may be given out, both ends included."""

    first: int = 10_000
    last: int = 20_000

    def __len__(self) -> int:
        """Return how many ports there are."""
        return self.last - self.first + 1

    def __contains__(self, port: object) -> bool:
        """Return whether a port is in the range."""
        return isinstance(port, int) and self.first <= port <= self.last

    def probe(self, name: str) -> Iterable[int]:
        """Yield every port once, from the one this name hashes to, upwards, around the end."""
        start = int.from_bytes(blake2b(name.encode(), digest_size=8).digest()) % len(self)
        for step in range(len(self)):
            yield self.first + (start + step) % len(self)


@dataclass(frozen=True, slots=True)
class Rest:
    """A port that rests, the listener that had it, and until when (Unix seconds)."""

    port: int
    listener: str
    until: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one call changed: claims for translation, and per object its problems (an empty tuple: none any more)."""

    claims: tuple[Claimed, ...] = ()
    problems: Mapping[Ref, tuple[Problem, ...]] = field(default_factory=dict)


class Claims:
    """The claims of all listeners. Deterministic: the same calls at the same times give the same ports."""

    def __init__(
        self, ports: PortRange | None = None, claims: Mapping[str, int] | None = None, resting: Iterable[Rest] = ()
    ) -> None:
        """Start with what was kept; a claim outside the range or of a port that is taken is dropped."""
        self.range = ports or PortRange()
        self._port_of: dict[str, int] = {}
        self._taken: dict[int, str] = {}
        self._waiting: set[str] = set()
        self.revision = 0
        """Grows with everything that has to be kept; what is equal need not be written again."""
        for listener, port in sorted((claims or {}).items()):
            if port in self.range and port not in self._taken:
                self._take(listener, port)
        self._resting = {
            rest.port: rest for rest in resting if rest.port in self.range and rest.port not in self._taken
        }

    @property
    def ports(self) -> Mapping[str, int]:
        """The port of each listener that has one."""
        return self._port_of

    @property
    def waiting(self) -> frozenset[str]:
        """The listeners that want a port and could not get one."""
        return frozenset(self._waiting)

    @property
    def resting(self) -> tuple[Rest, ...]:
        """The ports that rest, in order."""
        return tuple(self._resting[port] for port in sorted(self._resting))

    def change(self, wanted: Mapping[str, object | None], now: float) -> Outcome:
        """Give ports to the listeners that are wanted, take them from those that are not (their value is None).

        Ports are freed first, then given in the order of the names. A listener that has a port keeps it. Listeners
        that wait since the range was exhausted are tried again.
        """
        self._wake(now)
        waited = frozenset(self._waiting)
        freed = [self._free(name, now) for name in sorted(wanted) if wanted[name] is None]
        asked = waited & self._waiting | {name for name, value in wanted.items() if value is not None}
        claims = [*freed, *(self._give(name) for name in sorted(asked))]
        moved = {owner_of(name) for name in waited ^ self._waiting}
        problems = {owner: self._problems_of(owner) for owner in sorted(moved)}
        return Outcome(tuple(claimed for claimed in claims if claimed is not None), problems)

    def adopt(self, listener: str, port: int) -> bool:
        """Take over a claim that is written down elsewhere, unless the listener or the port has another by now."""
        if listener in self._port_of or port in self._taken or port not in self.range:
            return False
        self._resting.pop(port, None)
        self._take(listener, port)
        return True

    def settle(self, wanted: Iterable[str], now: float) -> Outcome:
        """After the first listing: give up every kept claim that no listener wants, and claim the rest."""
        names = dict.fromkeys(wanted, 0)
        gone: dict[str, object | None] = {
            name: None for name in self._port_of.keys() | self._waiting if name not in names
        }
        return self.change(names | gone, now)

    def retry(self, now: float) -> Outcome:
        """Try again for the listeners that wait."""
        return self.change({}, now)

    def next_wake(self) -> float | None:
        """Return when a waiting listener might get a port that rests now (Unix seconds); None when none waits."""
        if not self._waiting or not self._resting:
            return None
        return min(rest.until for rest in self._resting.values())

    def _give(self, name: str) -> Claimed | None:
        if name in self._port_of:
            return Claimed(name, self._port_of[name])
        port = self._find(name)
        if port is None:
            self._waiting.add(name)
            return None
        self._resting.pop(port, None)
        self._waiting.discard(name)
        self._take(name, port)
        return Claimed(name, port)

    def _find(self, name: str) -> int | None:
        """Return the port this listener had and that still rests, or the first free one from its hash on."""
        for rest in self._resting.values():
            if rest.listener == name:
                return rest.port
        if len(self._taken) + len(self._resting) >= len(self.range):
            return None
        return next(port for port in self.range.probe(name) if port not in self._taken and port not in self._resting)

    def _free(self, name: str, now: float) -> Claimed | None:
        self._waiting.discard(name)
        port = self._port_of.pop(name, None)
        if port is None:
            return None
        del self._taken[port]
        self.revision += 1
        self._resting[port] = Rest(port, name, now + REST_SECONDS)
        return Claimed(name, None)

    def _take(self, name: str, port: int) -> None:
        self._port_of[name] = port
        self._taken[port] = name
        self.revision += 1

    def _wake(self, now: float) -> None:
        """End the rests that are over; one that ends impossibly late (the clock was set back) ends in due time."""
        latest = now + REST_SECONDS
        self._resting = {
            port: Rest(port, rest.listener, min(rest.until, latest))
            for port, rest in self._resting.items()
            if rest.until > now
        }

    def _problems_of(self, owner: Ref) -> tuple[Problem, ...]:
        names = sorted(name for name in self._waiting if owner_of(name) == owner)
        return tuple(self._exhausted(owner, name) for name in names)

    def _exhausted(self, owner: Ref, name: str) -> Problem:
        return PORTS_EXHAUSTED.found(
            owner,
            "",
            f"Listener {name} has no port: all {len(self.range)} ports from {self.range.first} to {self.range.last} "
            f"are claimed ({len(self._taken)}) or rest after use ({len(self._resting)}).",
        )


def owner_of(listener: str) -> Ref:
    """Return the Ingress a listener's name starts with (``default/basic-ingress/http``; DESIGN 5)."""
    namespace, _, rest = listener.partition("/")
    name, slash, _ = rest.rpartition("/")
    return Ref(Kind.INGRESS, namespace, name) if slash else Ref(Kind.INGRESS, "", namespace)
