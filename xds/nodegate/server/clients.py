"""Who is connected, and how far each one is: what debug pages, metrics and status are made from."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from nodegate.server.protocol.postponement import PORT_HELD, reason_of
from nodegate.server.protocol.stream import Stream
from nodegate.server.protocol.type_state import TypeState
from nodegate.snapshot.facts import NodeFacts
from nodegate.snapshot.resource import Key
from nodegate.snapshot.target import Target
from nodegate.snapshot.type_urls import CLUSTER, LISTENER, REDIRECT
from nodegate.snapshot.votes import Votes


@dataclass(frozen=True, slots=True)
class TypeStatus:
    """How far one client is with one resource type.

    ``names`` counts the names asked for besides the wildcard; ``sent``, ``acked`` and ``nacked`` count responses;
    ``waiting`` says in sentences what is held back and why; ``rejected`` maps a resource to the client's own text.
    ``postponed`` says of each redirect that an agent has not installed yet why, in its words. ``synced``: nothing is in
    flight, held back, postponed or rejected.
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
    postponed: Mapping[str, str]
    last_nack: str
    synced: bool


@dataclass(frozen=True, slots=True)
class ClientStatus:
    """One connected client. ``connected_at`` is in seconds since the epoch; ``peer`` is gRPC's word for its address.

    ``role`` is ``agent`` or empty, which is a proxy.
    """

    id: int
    node_id: str
    facts: NodeFacts
    peer: str
    variant: str
    connected_at: float
    user_agent: str
    types: tuple[TypeStatus, ...]
    role: str = ""


@dataclass(frozen=True, slots=True)
class Connection:
    """One live stream and where it comes from."""

    id: int
    stream: Stream
    peer: str
    connected_at: float

    @property
    def node_id(self) -> str:
        """The id of the node, empty as long as the client has not said it."""
        return self.stream.node.id if self.stream.node else ""

    @property
    def node_name(self) -> str:
        """The name of the node, or the client's id where it says none."""
        node = self.stream.node
        return (node.facts.node or node.id) if node is not None else ""

    @property
    def is_agent(self) -> bool:
        """Whether this is the stream of a redirect agent."""
        return self.stream.node is not None and self.stream.node.is_agent

    def rejects(self, target: Target) -> Iterator[tuple[Key, str]]:
        """Yield what this client rejects of the target's content now, with its text."""
        for state in self.stream.states.values():
            for name, rejection in state.rejections.rejected.items():
                if self._version(target, (state.type_url, name)) == rejection.version:
                    yield (state.type_url, name), rejection.text

    def postpones(self, target: Target) -> Iterator[tuple[str, str]]:
        """Yield the redirects of the target that this agent has not installed yet, and why."""
        state = self.stream.states.get(REDIRECT)
        for name, one in state.postponed.items() if state is not None else ():
            if one.version is not None and self._version(target, (REDIRECT, name)) == one.version:
                yield name, one.words

    def has_a_say(self, type_url: str) -> bool:
        """Return whether the client takes this type, or is a proxy that will name what it needs of it later."""
        return not self.stream.states.keys().isdisjoint((type_url, CLUSTER, LISTENER))

    def holds(self, key: Key, target: Target) -> bool:
        """Return whether the client acknowledged the target's content of this resource."""
        state = self.stream.states.get(key[0])
        held = state.ledger.get(key[1]) if state is not None else None
        return held is not None and held.version == self._version(target, key)

    def _version(self, target: Target, key: Key) -> str | None:
        entry = target.get(*key)
        if entry is None or self.stream.node is None:
            return None
        return entry.resolve(self.stream.node.facts).version

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
            role=node.role if node else "",
        )


def _type_status(state: TypeState) -> TypeStatus:
    counters = state.counters
    waiting = tuple(f"{name} {hold.reason}" for name, (hold, _) in sorted(state.holds.items()))
    postponed = {name: one.words for name, one in sorted(state.postponed.items())}
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
        postponed=postponed,
        last_nack=counters.last_nack,
        synced=state.outstanding is None and not (waiting or postponed or rejected),
    )


def _responses(stream: Stream) -> Counter[tuple[str, str]]:
    found: Counter[tuple[str, str]] = Counter()
    for state in stream.states.values():
        counters = state.counters
        found[state.type_url, "sent"] += counters.sent
        found[state.type_url, "acked"] += counters.acked
        found[state.type_url, "nacked"] += counters.nacked
    return found


class Clients:
    """The registry of live streams. Streams of one node id are independent of each other (48)."""

    def __init__(self) -> None:
        self._connections: dict[int, Connection] = {}
        self._ids = itertools.count(1)
        self._ended: Counter[tuple[str, str]] = Counter()
        self.on_news: Callable[[], None] = lambda: None
        """Called when a client said who it is, and when one rejected something; what reviews verdicts hooks in here."""
        self.on_answer: Callable[[], None] = lambda: None
        """Called whenever a client has said anything: what it holds may be another thing now."""

    @contextmanager
    def connected(self, stream: Stream, peer: str, now: float) -> Iterator[Connection]:
        """Keep a stream in the registry for as long as the context lasts."""
        connection = Connection(next(self._ids), stream, peer, now)
        self._connections[connection.id] = connection
        try:
            yield connection
        finally:
            del self._connections[connection.id]
            self._ended += _responses(stream)

    def __len__(self) -> int:
        """Return how many streams are live."""
        return len(self._connections)

    def responses(self) -> Counter[tuple[str, str]]:
        """Return how many responses there were since the start, by type URL and ``sent``, ``acked`` or ``nacked``."""
        return sum((_responses(one.stream) for one in self._connections.values()), self._ended)

    def connections(self) -> tuple[Connection, ...]:
        """Return every live stream, oldest first."""
        return tuple(self._connections.values())

    def node_ids(self) -> frozenset[str]:
        """Return the ids of all proxies that are connected."""
        nodes = (connection.stream.node for connection in self._connections.values())
        return frozenset(node.id for node in nodes if node is not None and not node.is_agent)

    def agents(self) -> tuple[Connection, ...]:
        """Return the stream of every redirect agent that is connected to this replica, oldest first."""
        return tuple(one for one in self._connections.values() if one.is_agent)

    def redirects_on(self, node: str) -> Iterator[TypeState | None]:
        """Yield how far each agent of a node is with its redirects; None for one that has not asked for them yet."""
        for agent in self.agents():
            if agent.stream.node is not None and agent.stream.node.facts.node == node:
                yield agent.stream.states.get(REDIRECT)

    def held_ports(self, target: Target) -> Iterator[tuple[str, str]]:
        """Yield the listeners whose port another program holds, as the node's agent says, each with the node's name."""
        for agent in self.agents():
            for name, words in agent.postpones(target):
                if reason_of(words) == PORT_HELD:
                    yield from ((listener, agent.node_name) for _, listener in target.of_type(REDIRECT)[name].refs)

    def is_redirected(self, redirect: str, target: Target) -> bool:
        """Return whether an agent has installed the target's content of this redirect (``namespace/service/port``).

        Another replica may know of agents that this one does not.
        """
        return any(agent.holds((REDIRECT, redirect), target) for agent in self.agents())

    def votes(self, target: Target) -> tuple[Votes, ...]:
        """Return what clients say about every resource that one of them rejects at the target's content."""
        rejected: dict[Key, dict[str, str]] = {}
        for connection in self._connections.values():
            for key, text in connection.rejects(target):
                rejected.setdefault(key, {})[connection.node_id] = text
        return tuple(self._vote(key, target, by) for key, by in sorted(rejected.items()))

    def _vote(self, key: Key, target: Target, rejected: dict[str, str]) -> Votes:
        connections = self._connections.values()
        others = [one for one in connections if one.node_id not in rejected and one.has_a_say(key[0])]
        accepted = frozenset(one.node_id for one in others if one.holds(key, target))
        pending = frozenset(one.node_id for one in others) - accepted
        entry = target.get(*key)
        return Votes(key, entry.causes if entry else (), rejected, accepted, pending)

    def snapshot(self) -> tuple[ClientStatus, ...]:
        """Return the status of every connected client that has said who it is, oldest first."""
        return tuple(one.status() for one in self._connections.values() if one.stream.node is not None)
