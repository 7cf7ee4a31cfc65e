"""Ports that rest after use: node agents' rules and clients' connections outlive a listener (redirect 5)."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass

REST_SECONDS = 300.0
"""How long a freed port is given to nobody but its former listener (redirect 5)."""


@dataclass(frozen=True, slots=True)
class Rest:
    """A port that rests, the listener that had it, and until when (Unix seconds)."""

    port: int
    listener: str
    until: float


class Resting:
    """The ports that rest now, in order of their numbers when iterated."""

    def __init__(self, rests: Iterable[Rest] = ()) -> None:
        self._rests = {rest.port: rest for rest in rests}

    def __contains__(self, port: object) -> bool:
        """Return whether a port rests."""
        return port in self._rests

    def __len__(self) -> int:
        """Return how many ports rest."""
        return len(self._rests)

    def __iter__(self) -> Iterator[Rest]:
        """Yield every rest, by port."""
        return iter([self._rests[port] for port in sorted(self._rests)])

    def begin(self, port: int, listener: str, now: float) -> None:
        """Let a port rest that a listener gave up."""
        self._rests[port] = Rest(port, listener, now + REST_SECONDS)

    def end(self, port: int) -> None:
        """A port is used again."""
        self._rests.pop(port, None)

    def wake(self, now: float) -> None:
        """End the rests that are over; one that ends impossibly late (the clock was set back) ends in due time."""
        latest = now + REST_SECONDS
        self._rests = {
            port: Rest(port, rest.listener, min(rest.until, latest))
            for port, rest in self._rests.items()
            if rest.until > now
        }

    def had(self, port: int) -> str:
        """Return the listener that gave up a port that rests."""
        return self._rests[port].listener

    def port_had_by(self, listener: str, refused: Container[int] = ()) -> int | None:
        """Return the port that this listener gave up and may have back, unless it was ``refused``."""
        had = (rest.port for rest in self._rests.values() if rest.listener == listener)
        return next((port for port in had if port not in refused), None)

    def first_end(self) -> float | None:
        """Return when the first rest ends (Unix seconds); None when no port rests."""
        return min((rest.until for rest in self._rests.values()), default=None)
