"""Who is connected, and how far each one is: what debug pages, metrics and status are made from."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from nodegate.server.protocol.stream import Stream
from nodegate.server.protocol.type_state import TypeState
from nodegate.snapshot.facts import NodeFacts


@dataclass(frozen=True, slots=True)
class TypeStatus:
    """How far one client is with one resource type.

    ``names`` counts the names asked for besides the wildcard; ``sent``, ``acked`` and ``nacked`` count responses;
    ``waiting`` says in sentences what is held back and why; ``rejected`` maps a resource to the client's own text.
    ``synced``: nothing is in flight, held back or rejected.
    """

    type_url: str
    wildcard: bool
    names: int
    sent_version: str
    acked_version: str
    sent: int
    acked: int
    nacked: int
    waiting: tuple[str, ...]
    rejected: Mapping[str, str]
    last_nack: str
    synced: bool


@dataclass(frozen=True, slots=True)
class ClientStatus:
    """One connected client. ``connected_at`` is in seconds since the epoch; ``peer`` is gRPC's word for its address."""

    id: int
    node_id: str
    facts: NodeFacts
    peer: str
    variant: str
    connected_at: float
    user_agent: str
    types: tuple[TypeStatus, ...]


@dataclass(frozen=True, slots=True)
class Connection:
    """One live stream and where it comes from."""

    id: int
    stream: Stream
    peer: str
    connected_at: float

    def status(self) -> ClientStatus:
        """Return how far this client is, at this moment."""
        node = self.stream.node
        return ClientStatus(
            id=self.id,
            node_id=node.id if node else "",
            facts=node.facts if node else NodeFacts(),
            peer=self.peer,
            variant=self.stream.variant.value,
            connected_at=self.connected_at,
            user_agent=node.user_agent if node else "",
            types=tuple(_type_status(state) for state in self.stream.states.values()),
        )


def _type_status(state: TypeState) -> TypeStatus:
    counters = state.counters
    waiting = tuple(f"{name} {hold.reason}" for name, (hold, _) in sorted(state.holds.items()))
    rejected = {name: rejection.text for name, rejection in sorted(state.rejections.rejected.items())}
    return TypeStatus(
        type_url=state.type_url,
        wildcard=state.subscription.wildcard,
        names=len(state.subscription.names),
        sent_version=counters.sent_version,
        acked_version=counters.acked_version,
        sent=counters.sent,
        acked=counters.acked,
        nacked=counters.nacked,
        waiting=waiting,
        rejected=rejected,
        last_nack=counters.last_nack,
        synced=state.outstanding is None and not waiting and not rejected,
    )


class Clients:
    """The registry of live streams. Streams of one node id are independent of each other (48)."""

    def __init__(self) -> None:
        self._connections: dict[int, Connection] = {}
        self._ids = itertools.count(1)

    @contextmanager
    def connected(self, stream: Stream, peer: str, now: float) -> Iterator[Connection]:
        """Keep a stream in the registry for as long as the context lasts."""
        connection = Connection(next(self._ids), stream, peer, now)
        self._connections[connection.id] = connection
        try:
            yield connection
        finally:
            del self._connections[connection.id]

    def __len__(self) -> int:
        """Return how many streams are live."""
        return len(self._connections)

    def connections(self) -> tuple[Connection, ...]:
        """Return every live stream, oldest first."""
        return tuple(self._connections.values())

    def snapshot(self) -> tuple[ClientStatus, ...]:
        """Return the status of every connected client that has said who it is, oldest first."""
        return tuple(one.status() for one in self._connections.values() if one.stream.node is not None)
