"""What translation remembers between steps: the objects, what was made of them, and who depends on whom."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from nodegate.model.objects import EndpointSlice, Ingress, IngressClass, Service
from nodegate.snapshot.resource import Entry, Key
from nodegate.translate.findings import Findings
from nodegate.translate.names import ClusterKey, ObjectName, Scheme
from nodegate.translate.plan import Plan
from nodegate.translate.settings import Settings
from nodegate.translate.virtual_hosts import VirtualHost

Unit = tuple[str, str]
"""A frontend's name and a host: what is built, and built again, as one."""


@dataclass(slots=True)
class Objects:
    """The objects as they are now. EndpointSlices are filed under their Service."""

    ingresses: dict[ObjectName, Ingress] = field(default_factory=dict)
    ingresses_in: dict[str, set[ObjectName]] = field(default_factory=dict)
    classes: dict[str, IngressClass] = field(default_factory=dict)
    services: dict[ObjectName, Service] = field(default_factory=dict)
    slices: dict[ObjectName, dict[str, EndpointSlice]] = field(default_factory=dict)
    service_of_slice: dict[ObjectName, ObjectName] = field(default_factory=dict)
    terminating_namespaces: set[str] = field(default_factory=set)
    claims: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class Frontend:
    """Listeners that belong together, one per scheme, and the Ingresses they serve."""

    name: str
    members: set[ObjectName] = field(default_factory=set)
    hosts: dict[str, set[ObjectName]] = field(default_factory=dict)
    built: dict[str, VirtualHost] = field(default_factory=dict)

    @property
    def schemes(self) -> tuple[Scheme, ...]:
        """The listeners this frontend has."""
        return (Scheme.HTTP,) if self.members else ()


@dataclass(slots=True)
class Dirty:
    """What has to be made again in this step."""

    ingresses: set[ObjectName] = field(default_factory=set)
    units: set[Unit] = field(default_factory=set)
    frontends: set[str] = field(default_factory=set)  # listeners, and the frontend's existence
    routes: set[str] = field(default_factory=set)  # frontends whose route configurations are to be joined again
    clusters: set[ClusterKey] = field(default_factory=set)
    endpoints: set[ClusterKey] = field(default_factory=set)


class Index:
    """The memory of :func:`nodegate.translate.step.step`; opaque to everyone else, who only keeps and passes it.

    It is used linearly: ``step`` modifies the index it is given and returns it, and the one passed in must not be
    used again. ``work`` counts what was made since the beginning, by kind (``plan``, ``virtual host``, ``route
    configuration``, ``listener``, ``cluster``, ``endpoints``): the cost of a change, for tests and benchmarks.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.objects = Objects()
        self.plans: dict[ObjectName, Plan] = {}
        self.frontends: dict[str, Frontend] = {}
        self.cluster_users: dict[ClusterKey, set[Unit]] = {}
        self.clusters_of: dict[ObjectName, set[ClusterKey]] = {}
        self.service_users: dict[ObjectName, set[Unit]] = {}
        self.findings = Findings()
        self.dirty = Dirty()
        self.emitted: dict[Key, Entry] = {}
        self.changed: dict[Key, Entry | None] = {}
        self.listening: dict[str, int] = {}  # the ports listeners are made for now
        self.wanted: dict[str, int] = {}
        self.wanted_changed: dict[str, int | None] = {}
        self.work: Counter[str] = Counter()

    @classmethod
    def new(cls, settings: Settings) -> Index:
        """Return the index of no objects at all."""
        return cls(settings)

    def emit(self, entry: Entry) -> None:
        """Put a resource into the result of this step, unless it is what it was."""
        known = self.emitted.get(entry.key)
        if known is not None and known.version == entry.version and known.refs == entry.refs:
            return
        self.emitted[entry.key] = self.changed[entry.key] = entry

    def withdraw(self, key: Key) -> None:
        """Take a resource out in the result of this step, if it was there."""
        if self.emitted.pop(key, None) is not None:
            self.changed[key] = None

    def want(self, listener: str, service_port: int | None) -> None:
        """Ask for a port for this listener, or, with None, ask no more."""
        if self.wanted.get(listener) == service_port:
            return
        if service_port is None:
            del self.wanted[listener]
        else:
            self.wanted[listener] = service_port
        self.wanted_changed[listener] = service_port
