"""The waits between types: make before break (40-42, DESIGN 2.4).

A RouteConfiguration goes out when every cluster it names is settled on the stream. Nothing is removed that is named by
a resource the client may still hold, and emptying a cluster counts as removing it.
"""

from __future__ import annotations

from collections.abc import Mapping

from nodegate.server.protocol.ledger import Held, Reported
from nodegate.server.protocol.type_state import Hold, TypeState
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

States = Mapping[str, TypeState]


def hold_update(states: States, target: Target, resource: Resource, held: Held | None) -> Hold | None:
    """Return why this resource must not be sent yet, or None."""
    if resource.type_url == ROUTE:
        return _hold_route(states, target, resource)
    if resource.type_url == ENDPOINT and resource.empty:
        return _hold_emptying(states, target, resource, held)
    return None


def hold_removal(states: States, target: Target, key: Key) -> Hold | None:
    """Return why this resource must not be removed yet, or None."""
    if target.named.get(key):
        return Hold("the target still names it", bounded=False)
    return _named_by_client(states, key)


def _hold_route(states: States, target: Target, route: Resource) -> Hold | None:
    """Wait for the clusters, if this client takes all of them; one that asks by name learns the names from here."""
    clusters = states.get(CLUSTER)
    if clusters is None or not clusters.subscription.wildcard:
        return None
    waiting = [
        name
        for type_url, name in route.refs
        if type_url == CLUSTER and target.get(CLUSTER, name) and not _usable(states, target, name)
    ]
    if not waiting:
        return None
    return Hold(f"waits until the client has acknowledged cluster {', '.join(waiting)}", bounded=True)


def _usable(states: States, target: Target, cluster: str) -> bool:
    """Return whether the client has the cluster, and not without the endpoints that the target has for it."""
    if not states[CLUSTER].settled(cluster):
        return False
    endpoints = states.get(ENDPOINT)
    entry = target.get(ENDPOINT, cluster)
    if endpoints is None or entry is None or entry.empty or not endpoints.subscription.wants(cluster):
        return True
    if cluster in endpoints.rejections.rejected:
        return True
    held = endpoints.may_hold(cluster)
    return bool(held) and not any(isinstance(one, Resource) and one.empty for one in held)


def _hold_emptying(states: States, target: Target, resource: Resource, held: Held | None) -> Hold | None:
    if held is None or (isinstance(held, Resource) and held.empty):
        return None
    cluster = (CLUSTER, resource.name)
    return None if target.named.get(cluster) else _named_by_client(states, cluster)


def _named_by_client(states: States, key: Key) -> Hold | None:
    """Return a hold when something that the client may still hold names this resource.

    What is settled equals the target, which does not name it; so only unsettled names have to be looked at.
    """
    for type_url in NAMED_BY.get(key[0], ()):
        state = states.get(type_url)
        if state is None:
            if key[0] in states and states[key[0]].resumed:
                return Hold(f"the client has not said yet which {SHORT_NAME[type_url]}s it holds", bounded=True)
            continue
        for name in state.unsettled():
            for held in state.may_hold(name):
                if isinstance(held, Reported):
                    return Hold(f"{SHORT_NAME[type_url]} {name} of an earlier stream may name it", bounded=True)
                if key in held.refs:
                    return Hold(f"{SHORT_NAME[type_url]} {name} on the client still names it", bounded=False)
    return None
