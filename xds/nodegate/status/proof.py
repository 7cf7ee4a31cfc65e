"""What has to be proved before an Ingress gets its address, and who has proved it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

from nodegate.model.generated_service import SERVICE_PORTS, SHARED, service_name
from nodegate.model.refs import Kind
from nodegate.snapshot.resource import Key
from nodegate.snapshot.target import Target
from nodegate.snapshot.type_urls import LISTENER, REDIRECT, ROUTE

Name = tuple[str, str]
"""Namespace and name of an Ingress."""


class Client(Protocol):
    """A client, and what it acknowledged."""

    @property
    def is_agent(self) -> bool:
        """Whether it is the redirect agent of its node, and not a proxy."""

    def holds(self, key: Key, target: Target) -> bool:
        """Return whether the client acknowledged the target's content of this resource."""


def proves(clients: Iterable[Client], proxy_keys: Iterable[Key], agent_keys: Iterable[Key], target: Target) -> bool:
    """Whether a proxy holds all of an Ingress, and an agent all ways to it, of those that are connected here.

    A stream proves what its own replica sees: where only agents are connected, theirs is enough, as an agent
    acknowledges nothing before the node's Envoy listens (DESIGN 3.3).
    """
    proxies: list[Client] = []
    agents: list[Client] = []
    for client in clients:
        (agents if client.is_agent else proxies).append(client)
    asked = [(group, tuple(keys)) for group, keys in ((proxies, proxy_keys), (agents, agent_keys)) if group]
    return bool(asked) and all(_some_holds_all(group, keys, target) for group, keys in asked)


def _some_holds_all(clients: Iterable[Client], keys: tuple[Key, ...], target: Target) -> bool:
    return bool(keys) and any(all(client.holds(key, target) for key in keys) for client in clients)


def proxy_keys(frontend: str, ports: Mapping[str, int], target: Target) -> tuple[Key, ...]:
    """Return the listeners of a frontend that there are, with the routes that they serve; none while there is none.

    Routes without a listener prove nothing: that of HTTPS is missing as long as its Secret is, and no proxy asks for
    its routes then. What is served over HTTP, the answer to an ACME challenge for one, needs its address all the same.
    """
    keys: list[Key] = []
    for scheme in SERVICE_PORTS:
        name = f"{frontend}/{scheme}"
        listener = (LISTENER, f"{name}@{ports.get(name)}")
        if target.get(*listener) is not None:
            keys += [listener, *(route for route in [(ROUTE, name)] if target.get(*route) is not None)]
    return tuple(keys)


def agent_keys(frontend: str, publish: Name, target: Target) -> tuple[Key, ...]:
    """Return the redirects to a frontend that there are."""
    namespace, _, ingress = frontend.partition("/")
    place = publish if frontend == SHARED else (namespace, service_name(ingress))
    keys = [(REDIRECT, "/".join((*place, str(port)))) for port in SERVICE_PORTS.values()]
    return tuple(key for key in keys if target.get(*key) is not None)


def sharers(target: Target) -> frozenset[Name]:
    """Return the Ingresses that the shared listeners serve: those that cause their routes."""
    entries = [target.get(ROUTE, f"{SHARED}/{scheme}") for scheme in SERVICE_PORTS]
    causes = [cause for entry in entries if entry for cause in entry.causes if cause.kind is Kind.INGRESS]
    return frozenset((cause.namespace, cause.name) for cause in causes)
