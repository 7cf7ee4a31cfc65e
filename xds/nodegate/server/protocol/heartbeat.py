"""TTLs: what was sent is renewed before it expires on the client (50).

A heartbeat is a resource without content. It is no update: what the client answers to it says nothing, and nothing
waits for that answer. While an update of the type is under way there is none; the client is about to be heard of.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from nodegate.server.protocol.request import Variant
from nodegate.server.protocol.response import Framing
from nodegate.server.protocol.type_state import TypeState
from nodegate.snapshot.resource import Resource, set_version


@dataclass(frozen=True, slots=True)
class Beat:
    """The content of one heartbeat response."""

    version: str
    body: bytes


class Heartbeat:
    """The heartbeats of one stream: each type's resources are renewed every half of ``ttl`` seconds."""

    def __init__(self, framing: Framing, ttl: float) -> None:
        self._framing = framing
        self._every = ttl / 2
        self._next: dict[str, float] = {}

    def began(self, state: TypeState, now: float) -> None:
        """Note that something of a type was sent; the first time starts its clock.

        What a delta client holds from an earlier stream is not sent again, and its time is running: it is renewed at
        once.
        """
        is_late = state.resumed and state.variant is Variant.DELTA
        self._next.setdefault(state.type_url, now if is_late else now + self._every)

    def due(self, states: Iterable[TypeState]) -> Iterator[float]:
        """Yield when the next heartbeats are due."""
        for state in states:
            if state.type_url in self._next and state.outstanding is None:
                yield self._next[state.type_url]

    def next(self, state: TypeState, now: float) -> Beat | None:
        """Return the heartbeat of a type, if it is due."""
        if now < self._next.get(state.type_url, now + 1) or state.outstanding is not None:
            return None
        self._next[state.type_url] = now + self._every
        held = [one for one in map(state.ledger.get, sorted(state.ledger.names())) if isinstance(one, Resource)]
        if not held:
            return None
        version = set_version(state.ledger.digest)
        return Beat(version, b"".join(self._entry(state, one, version) for one in held))

    def _entry(self, state: TypeState, held: Resource, version: str) -> bytes:
        if state.whole_set:
            return self._framing.entry(held)  # every response carries the whole set, and absence deletes (16)
        # A state-of-the-world client compares with the version of the response, a delta client with the resource's.
        return self._framing.heartbeat(held.name, held.version if self._framing.variant is Variant.DELTA else version)
