"""Frontends: listeners that belong together, one per scheme, and the Ingresses they serve."""

from __future__ import annotations

from dataclasses import dataclass, field

from nodegate.translate.listeners import Chain
from nodegate.translate.names import ObjectName, Scheme
from nodegate.translate.options import RouteOptions
from nodegate.translate.route_table import RouteTable
from nodegate.translate.settings import ListenerMode, Settings
from nodegate.translate.tls import HostChains
from nodegate.translate.virtual_hosts import VirtualHost

SHARED = "shared"
"""The name of the one frontend that Ingresses share."""


@dataclass(slots=True)
class Frontend:
    """One frontend: one Ingress' own, or the shared one.

    ``hosts`` and ``declared`` say which Ingresses name a host in a rule and in ``tls``; ``chains`` which certificate
    each of the latter is served with, and ``default_secret`` the one for clients that ask for no host, where an
    Ingress of its own frontend declares one. ``wanted`` holds the Secrets declared for each host, ``built`` the virtual
    hosts, ``tables`` those of the shared frontend joined to route configurations, ``chain_bytes`` the filter chains
    made last.
    """

    name: str
    members: set[ObjectName] = field(default_factory=set)
    hosts: dict[str, set[ObjectName]] = field(default_factory=dict)
    declared: dict[str, set[ObjectName]] = field(default_factory=dict)
    chains: HostChains = field(default_factory=HostChains)
    wanted: dict[str, frozenset[ObjectName]] = field(default_factory=dict)
    default_secret: ObjectName | None = None
    built: dict[str, VirtualHost] = field(default_factory=dict)
    tables: dict[Scheme, RouteTable] = field(default_factory=dict)
    chain_bytes: dict[Chain, bytes] = field(default_factory=dict)

    @property
    def is_shared(self) -> bool:
        """Whether this is the one that Ingresses share."""
        return self.name == SHARED

    def schemes(self, settings: Settings) -> tuple[Scheme, ...]:
        """Return the listeners this frontend has: HTTPS when an Ingress has TLS, and always when shared (DESIGN 5)."""
        if self.is_shared and (self.members or settings.listener_mode is ListenerMode.SHARED):
            return (Scheme.HTTP, Scheme.HTTPS)
        if not self.members:
            return ()
        return (Scheme.HTTP, Scheme.HTTPS) if self.declared else (Scheme.HTTP,)

    def add_host(self, host: str, ingress: ObjectName) -> None:
        """Note that an Ingress names a host in a rule."""
        self.hosts.setdefault(host, set()).add(ingress)

    def drop_host(self, host: str, ingress: ObjectName) -> None:
        """Note that an Ingress names a host in a rule no more."""
        _drop(self.hosts, host, ingress)

    def add_declared(self, host: str, ingress: ObjectName) -> None:
        """Note that an Ingress names a host in ``tls``."""
        self.declared.setdefault(host, set()).add(ingress)

    def drop_declared(self, host: str, ingress: ObjectName) -> None:
        """Note that an Ingress names a host in ``tls`` no more."""
        _drop(self.declared, host, ingress)


def _drop(names: dict[str, set[ObjectName]], host: str, ingress: ObjectName) -> None:
    of_host = names.get(host)
    if of_host is None:
        return
    of_host.discard(ingress)
    if not of_host:
        del names[host]


def frontend_name(ingress: ObjectName, options: RouteOptions, settings: Settings) -> str:
    """Return the frontend that serves an Ingress: as its annotation says, else as the settings do."""
    mode = options.listener_mode or settings.listener_mode
    return SHARED if mode is ListenerMode.SHARED else "/".join(ingress)
