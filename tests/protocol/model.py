"""A small model of a client that takes everything, as Envoy does, and notices when something it uses is taken away.

It speaks either variant through :class:`Link`, where requests and responses are under way until a test delivers them.
What it is told to hold is text, ``label[:names,...]``; a label ending in ``!`` is refused by name after the rest of its
message was applied, one ending in ``?`` is refused with its whole message and without a name (xds-protocol 35).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.service.discovery.v3 import discovery_pb2

from nodegate.snapshot.resource import content_hash
from nodegate.snapshot.target import Target
from nodegate.snapshot.type_urls import CLUSTER, ENDPOINT, LISTENER, ROUTE

EMPTY = "0"
"""The content of endpoints that are none."""


def body(name: str, content: str) -> bytes:
    """Return the bytes of a resource."""
    return f"{name}@{content}".encode()


def names_in(content: str) -> tuple[str, ...]:
    """Return what a resource with this content names."""
    return tuple(one for one in content.partition(":")[2].split(",") if one)


@dataclass(frozen=True)
class Answer:
    """One response under way, with the target it was made from."""

    data: bytes
    target: Target


@dataclass
class TypeView:
    """What the client knows of one type."""

    names: set[str] = field(default_factory=set)
    held: dict[str, str] = field(default_factory=dict)
    accepted: dict[str, str] = field(default_factory=dict)
    version: str = ""
    nonce: str = ""
    asked: bool = False


class ModelClient:
    """Asks for all clusters and listeners, and by name for the endpoints and routes these name.

    ``withholds``: a CDS answer waits until every changed cluster has been sent its endpoints (42); else it goes out at
    once. ``complain`` is called with a sentence when something that is in use breaks.
    """

    def __init__(self, *, delta: bool, withholds: bool, complain: Callable[[str], None]) -> None:
        self.delta = delta
        self.withholds = withholds
        self.complain = complain
        self.requests: deque[Any] = deque()
        self.restart()

    # --- connections ---------------------------------------------------------------------------------------------

    def restart(self) -> None:
        """Start anew, with nothing."""
        self.types = {url: TypeView() for url in (CLUSTER, ENDPOINT, LISTENER, ROUTE)}
        self.active: set[str] = set()
        self.warming: set[str] = set()
        self.refused: set[tuple[str, str, str]] = set()
        self.fresh_routes: set[str] = set()
        self.connect()

    def connect(self) -> None:
        """Open a stream and say what is held from the one before, if any (37, 38, 46)."""
        self.requests.clear()
        self._withheld: Any = None
        self._node_sent = False
        self.fresh_routes = set()
        for view in self.types.values():
            view.nonce, view.asked = "", False
        if not (self.delta and self.warming):
            self._ask(CLUSTER)
        if self.types[CLUSTER].version or self.types[ENDPOINT].names:
            for url in (ENDPOINT, LISTENER, ROUTE):
                if url == LISTENER or self.types[url].names:
                    self._ask(url)

    def _ask(self, url: str) -> None:
        """Send the first request of a type on this stream."""
        view = self.types[url]
        view.asked = True
        if self.delta:
            request = self._request(url, sub=view.names)
            for name, content in view.accepted.items():
                request.initial_resource_versions[name] = content_hash(body(name, content))
        else:
            self._request(url)

    def _request(self, url: str, *, sub: Any = (), unsub: Any = (), nonce: str = "", error: str = "") -> Any:
        view = self.types[url]
        message: Any = (
            discovery_pb2.DeltaDiscoveryRequest(
                type_url=url, resource_names_subscribe=sorted(sub), resource_names_unsubscribe=sorted(unsub)
            )
            if self.delta
            else discovery_pb2.DiscoveryRequest(
                type_url=url, version_info=view.version, resource_names=sorted(view.names)
            )
        )
        message.response_nonce = nonce if self.delta else view.nonce
        if error:
            message.error_detail.message = error
        if not self._node_sent:
            message.node.id, self._node_sent = "model", True
        self.requests.append(message)
        return message

    # --- responses -----------------------------------------------------------------------------------------------

    def receive(self, answer: Answer) -> None:
        """Take in one response and answer it, now or when clusters are warm."""
        kind: Any = discovery_pb2.DeltaDiscoveryResponse if self.delta else discovery_pb2.DiscoveryResponse
        message = kind.FromString(answer.data)
        url, view = message.type_url, self.types[message.type_url]
        contents = dict(_content(one.resource if self.delta else one) for one in message.resources)
        assert len(contents) == len(message.resources), "a name occurs twice"
        removed = set(message.removed_resources) if self.delta else set()
        if not self.delta:
            view.nonce = message.nonce
            if url in {CLUSTER, LISTENER}:
                removed = set(view.held) - contents.keys()
        mute = {name for name, content in contents.items() if content.partition(":")[0].endswith("?")}
        bad = {name for name, content in contents.items() if content.partition(":")[0].endswith("!")}
        self.refused |= {(url, name, contents[name]) for name in bad | mute}
        if mute:
            if url == ENDPOINT:
                self._end_warming(set(contents))
            self._finish(url, message, "constraint validation failed", {}, removed=set())
            return
        good = {name: content for name, content in contents.items() if name not in bad}
        self._apply(url, good, removed - bad, answer.target)
        if url == ENDPOINT:
            self._end_warming(bad)
        self._finish(url, message, f"Error adding/updating {', '.join(sorted(bad))}: no" if bad else "", good, removed)

    def _end_warming(self, clusters: set[str]) -> None:
        """Use clusters that wait for their endpoints; that these were refused ends it too, without any."""
        self.active |= self.warming & clusters
        self.warming -= clusters

    def _finish(self, url: str, message: Any, error: str, good: Mapping[str, str], removed: set[str]) -> None:
        view = self.types[url]
        if not error:
            view.accepted = {name: one for name, one in (view.accepted | dict(good)).items() if name in view.held}
            if not self.delta:
                view.version = message.version_info
        if url == CLUSTER and self.warming and self.withholds:
            self._withheld = (message.nonce, error)
        else:
            self._request(url, nonce=message.nonce, error=error)
        self._warmed()

    def _apply(self, url: str, good: Mapping[str, str], removed: set[str], target: Target) -> None:
        view = self.types[url]
        before = dict(view.held)
        for name in removed:
            view.held.pop(name, None)
        if url in {ENDPOINT, ROUTE}:
            good = {name: one for name, one in good.items() if name in view.names}
        view.held.update(good)
        if url == CLUSTER:
            self._clusters_changed(good, before, removed)
        elif url == ENDPOINT:
            self._endpoints_changed(good, before, removed, target)
        elif url == LISTENER:
            self._ask_for(ROUTE, {name for content in view.held.values() for name in names_in(content)})
        else:
            self.fresh_routes |= good.keys()
            self._check_endpoints_of(good, target)
        self._check_routes()

    def _clusters_changed(self, good: Mapping[str, str], before: Mapping[str, str], removed: set[str]) -> None:
        held = self.types[CLUSTER].held
        self.active -= removed
        self.warming -= removed
        changed = {name for name, content in good.items() if before.get(name) != content}
        if self.withholds:
            self.warming |= changed
        else:
            self.active |= changed
        self._ask_for(ENDPOINT, set(held), repeat=bool(changed & before.keys()))

    def _endpoints_changed(self, good: Mapping[str, str], before: Any, removed: set[str], target: Target) -> None:
        held = self.types[ENDPOINT].held
        self._end_warming(good.keys() | removed)
        for name in good.keys() | removed:
            was, now = before.get(name, EMPTY), held.get(name, EMPTY)
            if was != EMPTY and now == EMPTY and name in self._used() and not target.named.get((CLUSTER, name)):
                self.complain(f"cluster {name} was emptied under a route that the target leads elsewhere")

    def _check_endpoints_of(self, routes: Mapping[str, str], target: Target) -> None:
        for content in routes.values():
            for cluster in names_in(content):
                entry = target.get(ENDPOINT, cluster)
                if entry is None or entry.empty or self._refuses(ENDPOINT, cluster) or self._refuses(CLUSTER, cluster):
                    continue
                if self.types[ENDPOINT].held.get(cluster, EMPTY) == EMPTY:
                    self.complain(f"a route leads to cluster {cluster}, which has no endpoints here yet")

    def _ask_for(self, url: str, names: set[str], *, repeat: bool = False) -> None:
        """Change the names asked for; state of the world repeats them when a cluster of theirs changed (26)."""
        view = self.types[url]
        fresh, gone = names - view.names, view.names - names
        view.names = names
        for known in (view.held, view.accepted):
            for name in gone:
                known.pop(name, None)
        if not view.asked:
            if names:
                self._ask(url)
        elif self.delta:
            if fresh or gone:
                self._request(url, sub=fresh, unsub=gone)
        elif fresh or gone or repeat:
            self._request(url)

    def _warmed(self) -> None:
        """Go on when no cluster is warming any more."""
        if self.warming and self.withholds:
            return
        if self._withheld is not None:
            (nonce, error), self._withheld = self._withheld, None
            self._request(CLUSTER, nonce=nonce, error=error)
        for url in (CLUSTER, LISTENER):
            if not self.types[url].asked:
                self._ask(url)

    def give_up_warming(self) -> None:
        """Let the time pass after which a cluster is used without endpoints (``initial_fetch_timeout``)."""
        self.active |= self.warming
        self.warming = set()
        self._warmed()

    # --- what is in use ------------------------------------------------------------------------------------------

    def _used(self) -> set[str]:
        """Return the clusters that routes lead to."""
        routes = self.types[ROUTE].held
        known = routes if self.delta else {name: routes[name] for name in self.fresh_routes & routes.keys()}
        return {cluster for content in known.values() for cluster in names_in(content)}

    def _refuses(self, url: str, name: str) -> bool:
        return any((one, what) == (url, name) for one, what, _ in self.refused)

    def _check_routes(self) -> None:
        for cluster in self._used() - self.active:
            if not self._refuses(CLUSTER, cluster):
                self.complain(f"a route leads to cluster {cluster}, which the client does not have")


def _content(packed: Any) -> tuple[str, str]:
    name, at, content = packed.value.decode().partition("@")
    if not at:  # made by the server itself
        return endpoint_pb2.ClusterLoadAssignment.FromString(packed.value).cluster_name, EMPTY
    return name, content
