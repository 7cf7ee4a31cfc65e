"""The waits between types: make before break (40-42, DESIGN 2.4).

A RouteConfiguration goes out when every cluster it names is settled on the stream. Nothing is removed that is named by
a resource the client may still hold, and emptying a cluster counts as removing it.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from nodegate.server.protocol.agenda import Hold
from nodegate.server.protocol.ledger import Held, Reported
from nodegate.server.protocol.planning import STALE
from nodegate.server.protocol.request import Variant
from nodegate.server.protocol.type_state import TypeState
from nodegate.server.protocol.withdrawal import Agents, Departures
from nodegate.snapshot.resource import Key, Resource, field_bytes
from nodegate.snapshot.target import Target
from nodegate.snapshot.type_urls import CLUSTER, ENDPOINT, LISTENER, ROUTE, SECRET, SHORT_NAME

NAMED_BY: Mapping[str, tuple[str, ...]] = {
    CLUSTER: (ROUTE, LISTENER),
    ENDPOINT: (CLUSTER,),
    SECRET: (LISTENER, CLUSTER),
    ROUTE: (LISTENER,),
}
"""Which types hold references to a type."""

_CLUSTER_NAME = 1  # ClusterLoadAssignment.cluster_name

_TELLING = 5.0
"""Seconds that a client takes at most to repeat its subscriptions on a new stream; Envoy does it in one go (46)."""

_NAMED_BY_TARGET = Hold("the target still names it")
_NO_SECRETS = Hold("private keys are not sent over this connection")


class Patience:
    """Since when a stream waits for each cluster; a wait that may never end is given up after ``limit`` seconds.

    Each cluster has its own wait: one that never warms holds back what names it, once, and nothing else.
    """

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self._since: dict[str, float] = {}
        self._started: float | None = None

    def begin(self, now: float) -> None:
        """Note that the stream is looked at; the first time is its start."""
        if self._started is None:
            self._started = now

    def until_told(self) -> float:
        """Return until when the client may take to say all that it holds from an earlier stream; it does so at once."""
        return (self._started or 0.0) + min(self._limit, _TELLING)

    def until_replaced(self) -> float:
        """Return until when what the client holds from an earlier stream may take to be replaced."""
        return (self._started or 0.0) + self._limit

    def until_settled(self, cluster: str, now: float) -> float:
        """Return until when something may wait for this cluster."""
        return self._since.setdefault(cluster, now) + self._limit

    def awaited(self) -> tuple[str, ...]:
        """Return the clusters that something waits for."""
        return tuple(self._since)

    def forget(self, cluster: str) -> None:
        """End the wait for a cluster: it is settled, or another one from now on."""
        del self._since[cluster]


class Waits(Struct):
    """The waits of one stream at one moment."""

    states: Mapping[str, TypeState]
    target: Target
    patience: Patience
    now: float
    secrets: bool
    departures: Departures
    _named: dict[str, Mapping[Key, str]] = {}
    _unknown: dict[str, str] = {}
    _agents: Agents | None = None

    def __post_init__(self) -> None:
        """End the waits that are over."""
        clusters = self.states.get(CLUSTER)
        for name in self.patience.awaited():
            if clusters is None or self._usable(clusters, name):
                self.patience.forget(name)

    def update(self, resource: Resource, held: Held | None) -> Hold | None:
        """Return why this resource must not be sent yet to a client that holds this, or None."""
        if resource.type_url == ROUTE:
            return self._route(resource)
        if resource.type_url == ENDPOINT and resource.empty:
            return self._emptying(resource, held)
        if resource.type_url == SECRET and not self.secrets:
            return _NO_SECRETS
        return None

    def removal(self, key: Key, *, asked: bool = False) -> Hold | None:
        """Return why this resource must not be removed yet, or None.

        When the client ``asked`` for endpoints and may be warming their cluster with nothing else, then only what
        leads to the cluster counts, not the cluster itself.
        """
        if self.target.stale:
            return STALE
        if self.target.named.get(key):
            return _NAMED_BY_TARGET
        if asked and key[0] == ENDPOINT and self._is_under_way(key[1]):
            return self._named_by_client((CLUSTER, key[1]))
        if key[0] == LISTENER and (hold := self._departing(key[1])):
            return hold
        return self._named_by_client(key)

    def _departing(self, listener: str) -> Hold | None:
        listeners = self.states[LISTENER]
        if self._agents is None:
            self._agents = self.departures.agents(listeners)
        return self.departures.hold(listener, listeners, self._agents, self.target, self.now)

    def _is_under_way(self, cluster: str) -> bool:
        clusters = self.states.get(CLUSTER)
        if clusters is None or clusters.outstanding is None:
            return False
        return clusters.outstanding.sent.get(cluster) is not None

    def stand_in(self, key: Key) -> Resource | None:
        """Return endpoints that are none, for a cluster that is gone but that the client may be warming.

        State of the world cannot say that they do not exist, and silence makes the client wait for 15 s (24, 41).
        """
        clusters = self.states.get(CLUSTER)
        if key[0] != ENDPOINT or clusters is None or clusters.variant is not Variant.SOTW:
            return None
        if self.target.get(CLUSTER, key[1]) is not None or not clusters.may_hold(key[1]):
            return None
        return Resource(ENDPOINT, key[1], field_bytes(_CLUSTER_NAME, key[1].encode()), empty=True)

    # --- routes wait for clusters --------------------------------------------------------------------------------

    def _route(self, route: Resource) -> Hold | None:
        """Wait for the clusters, if this client takes all of them; one that asks by name learns the names from here."""
        clusters = self.states.get(CLUSTER)
        if clusters is None:
            return self._untold_clusters()
        if not clusters.subscription.wildcard or self._has_all(clusters):
            return None
        waiting = {}
        for type_url, name in route.refs:
            if type_url != CLUSTER or self.target.get(CLUSTER, name) is None:
                continue
            if not self._usable(clusters, name):
                waiting[name] = self.patience.until_settled(name, self.now)
        until = max(waiting.values(), default=self.now)
        if until <= self.now:
            return None
        names = ", ".join(name for name, end in waiting.items() if end > self.now)
        reason = f"waits until the client has acknowledged cluster {names}"
        return Hold(reason, until)

    def _has_all(self, clusters: TypeState) -> bool:
        """Return whether every cluster of the target is usable, without a look at each.

        A route configuration of 10,000 Ingresses names as many, which took 40 of the 48 ms of CPU of one change.
        """
        endpoints = self.states.get(ENDPOINT)
        types = self.target.of_type
        return clusters.is_at(types(CLUSTER)) and (endpoints is None or endpoints.is_at(types(ENDPOINT)))

    def _untold_clusters(self) -> Hold | None:
        """Wait for a client that asks for no clusters yet, because one of its own is still warming (38)."""
        endpoints = self.states.get(ENDPOINT)
        if endpoints is None or not endpoints.resumed:
            return None
        reason = "waits until the client, which warms a cluster, asks for clusters"
        return self._bounded(reason)

    def _usable(self, clusters: TypeState, cluster: str) -> bool:
        """Return whether the client has the cluster, and not without the endpoints that the target has for it."""
        if not clusters.settled(cluster):
            return False
        endpoints = self.states.get(ENDPOINT)
        entry = self.target.get(ENDPOINT, cluster)
        if endpoints is None or entry is None or entry.empty or not endpoints.subscription.wants(cluster):
            return True
        if cluster in endpoints.rejections.rejected:
            return True
        sent = endpoints.outstanding.sent if endpoints.outstanding is not None else {}
        held = endpoints.ledger.get(cluster)
        return _leads_somewhere(held) and _leads_somewhere(sent.get(cluster, held))

    # --- removals wait for whatever names them -------------------------------------------------------------------

    def _emptying(self, resource: Resource, held: Held | None) -> Hold | None:
        """Treat a cluster that loses its last endpoint as removed, unless the target's routes still lead there."""
        if held is None or (isinstance(held, Resource) and held.empty):
            return None
        if CLUSTER not in self.states:
            return self._untold(ENDPOINT, CLUSTER)
        cluster = (CLUSTER, resource.name)
        return None if self.target.named.get(cluster) else self._named_by_client(cluster)

    def _named_by_client(self, key: Key) -> Hold | None:
        for type_url in NAMED_BY.get(key[0], ()):
            kind = SHORT_NAME[type_url]
            if type_url not in self.states:
                hold = self._untold(key[0], type_url)
            else:
                self._index(type_url)
                name, unknown = self._named[type_url].get(key), self._unknown.get(type_url)
                if name is not None:
                    return Hold(f"{kind} {name} on the client still names it")
                hold = self._of_earlier_stream(type_url, unknown) if unknown is not None else None
            if hold is not None:
                return hold
        return None

    def _untold(self, type_url: str, naming: str) -> Hold | None:
        """Wait for a client to say what else it holds."""
        state, listeners = self.states.get(type_url), self.states.get(LISTENER)
        if state is None or not state.resumed:
            return None
        if naming == ROUTE and listeners is not None and not listeners.resumed:
            return None  # no listeners, no routes
        until = self.patience.until_told()
        reason = f"the client has not said yet which {SHORT_NAME[naming]}s it holds"
        return Hold(reason, until) if until > self.now else None

    def _of_earlier_stream(self, type_url: str, name: str) -> Hold | None:
        """Wait for a resource whose content is not known to be replaced; one whose successor was refused will stay."""
        reason = f"{SHORT_NAME[type_url]} {name} of an earlier stream may name it"
        return Hold(reason) if name in self.states[type_url].rejections.rejected else self._bounded(reason)

    def _bounded(self, reason: str) -> Hold | None:
        until = self.patience.until_replaced()
        return Hold(reason, until) if until > self.now else None

    def _index(self, type_url: str) -> None:
        """Find out what the resources of a type name that the client may hold besides what the target says.

        What is settled equals the target, whose own count is asked first; so only unsettled names are looked at.
        """
        if type_url in self._named:
            return
        named: dict[Key, str] = {}
        state = self.states[type_url]
        for name in state.unsettled():
            for held in state.may_hold(name):
                if isinstance(held, Reported):
                    if self._unknown.get(type_url) not in state.rejections.rejected:
                        self._unknown[type_url] = name
                else:
                    named.update(dict.fromkeys(held.refs, name))
        self._named[type_url] = named


def _leads_somewhere(endpoints: Held | None) -> bool:
    return endpoints is not None and not (isinstance(endpoints, Resource) and endpoints.empty)
