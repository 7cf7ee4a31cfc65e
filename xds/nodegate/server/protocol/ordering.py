"""The waits between types: make before break (40-42, DESIGN 2.4).

A RouteConfiguration goes out when every cluster it names is settled on the stream. Nothing is removed that is named by
a resource the client may still hold, and emptying a cluster counts as removing it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from nodegate.server.protocol.agenda import Hold
from nodegate.server.protocol.ledger import Held, Reported
from nodegate.server.protocol.planning import STALE
from nodegate.server.protocol.type_state import TypeState
from nodegate.snapshot.resource import Key, Resource
from nodegate.snapshot.target import Target
from nodegate.snapshot.type_urls import CLUSTER, ENDPOINT, LISTENER, ROUTE, SECRET, SHORT_NAME

NAMED_BY: Mapping[str, tuple[str, ...]] = {
    CLUSTER: (ROUTE, LISTENER),
    ENDPOINT: (CLUSTER,),
    SECRET: (LISTENER, CLUSTER),
    ROUTE: (LISTENER,),
}
"""Which types hold references to a type."""

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
        """Return until when the client may take to say what it holds from an earlier stream."""
        return (self._started or 0.0) + self._limit

    def until_settled(self, cluster: str, now: float) -> float:
        """Return until when something may wait for this cluster."""
        return self._since.setdefault(cluster, now) + self._limit

    def awaited(self) -> tuple[str, ...]:
        """Return the clusters that something waits for."""
        return tuple(self._since)

    def forget(self, cluster: str) -> None:
        """End the wait for a cluster: it is settled, or another one from now on."""
        self._since.pop(cluster, None)

    def forget_all(self) -> None:
        """End every wait for a cluster."""
        self._since.clear()


@dataclass(slots=True)
class Waits:
    """The waits of one stream at one moment."""

    states: Mapping[str, TypeState]
    target: Target
    patience: Patience
    now: float
    secrets: bool
    _named: dict[str, Mapping[Key, str]] = field(default_factory=dict)
    _unknown: dict[str, str] = field(default_factory=dict)

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

    def removal(self, key: Key) -> Hold | None:
        """Return why this resource must not be removed yet, or None."""
        if self.target.stale:
            return STALE
        if self.target.named.get(key):
            return _NAMED_BY_TARGET
        return self._named_by_client(key)

    # --- routes wait for clusters --------------------------------------------------------------------------------

    def _route(self, route: Resource) -> Hold | None:
        """Wait for the clusters, if this client takes all of them; one that asks by name learns the names from here."""
        clusters = self.states.get(CLUSTER)
        if clusters is None:
            return self._untold_clusters()
        if not clusters.subscription.wildcard:
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
        return Hold(f"waits until the client has acknowledged cluster {names}", until)

    def _untold_clusters(self) -> Hold | None:
        """Wait for a client that asks for no clusters yet, because one of its own is still warming (38)."""
        endpoints = self.states.get(ENDPOINT)
        if endpoints is None or not endpoints.resumed:
            return None
        return self._bounded("waits until the client, which warms a cluster, asks for clusters")

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
        held = endpoints.may_hold(cluster)
        return bool(held) and not any(isinstance(one, Resource) and one.empty for one in held)

    # --- removals wait for whatever names them -------------------------------------------------------------------

    def _emptying(self, resource: Resource, held: Held | None) -> Hold | None:
        """Treat a cluster that loses its last endpoint as removed, unless the target's routes still lead there."""
        if held is None or (isinstance(held, Resource) and held.empty) or CLUSTER not in self.states:
            return None
        cluster = (CLUSTER, resource.name)
        return None if self.target.named.get(cluster) else self._named_by_client(cluster)

    def _named_by_client(self, key: Key) -> Hold | None:
        for type_url in NAMED_BY.get(key[0], ()):
            kind = SHORT_NAME[type_url]
            if type_url not in self.states:
                hold = self._untold(key[0], kind)
            else:
                self._index(type_url)
                name, unknown = self._named[type_url].get(key), self._unknown.get(type_url)
                if name is not None:
                    return Hold(f"{kind} {name} on the client still names it")
                hold = self._bounded(f"{kind} {unknown} of an earlier stream may name it") if unknown else None
            if hold is not None:
                return hold
        return None

    def _untold(self, type_url: str, kind: str) -> Hold | None:
        """Wait for a client to say what else it holds, but not with endpoints: without them it may never get there."""
        state = self.states.get(type_url)
        if state is None or not state.resumed or type_url == ENDPOINT:
            return None
        return self._bounded(f"the client has not said yet which {kind}s it holds")

    def _bounded(self, reason: str) -> Hold | None:
        until = self.patience.until_told()
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
                    self._unknown[type_url] = name
                else:
                    named.update(dict.fromkeys(held.refs, name))
        self._named[type_url] = named
