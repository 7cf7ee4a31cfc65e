"""What translation remembers between steps: the objects, what was made of them, and who depends on whom."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from nodegate.model.objects import EndpointSlice, Ingress, IngressClass
from nodegate.snapshot.resource import Entry, Key
from nodegate.translate.findings import Findings
from nodegate.translate.frontends import SHARED, Frontend
from nodegate.translate.names import ClusterKey, ObjectName
from nodegate.translate.plan import Plan
from nodegate.translate.redirects import Asked, Place, RedirectKey
from nodegate.translate.settings import ListenerMode, Settings
from nodegate.translate.stored_secret import StoredSecret
from nodegate.translate.upstreams import Upstream
from nodegate.translate.users import Users

Unit = tuple[str, str]
"""A frontend's name and a host: what is built, and built again, as one."""


@dataclass(slots=True)
class Objects:
    """The objects as they are now. EndpointSlices are filed under their Service."""

    ingresses: dict[ObjectName, Ingress] = field(default_factory=dict)
    ingresses_in: dict[str, set[ObjectName]] = field(default_factory=dict)
    classes: dict[str, IngressClass] = field(default_factory=dict)
    services: dict[ObjectName, Upstream] = field(default_factory=dict)
    slices: dict[ObjectName, tuple[EndpointSlice, ...]] = field(default_factory=dict)
    service_of_slice: dict[ObjectName, ObjectName] = field(default_factory=dict)
    secrets: dict[ObjectName, StoredSecret] = field(default_factory=dict)
    terminating_namespaces: set[str] = field(default_factory=set)
    claims: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class Dirty:
    """What has to be made again in this step."""

    ingresses: set[ObjectName] = field(default_factory=set)
    secrets: set[ObjectName] = field(default_factory=set)
    certificates: set[Unit] = field(default_factory=set)  # hosts whose certificate is to be chosen again
    units: set[Unit] = field(default_factory=set)
    routes: set[str] = field(default_factory=set)  # frontends whose route configurations are to be joined again
    frontends: set[str] = field(default_factory=set)  # listeners, and the frontend's existence
    clusters: set[ClusterKey] = field(default_factory=set)
    endpoints: set[ClusterKey] = field(default_factory=set)
    redirects: set[ObjectName] = field(default_factory=set)  # Services whose redirects are to be made again


class Index:
    """The memory of :func:`nodegate.translate.step.step`; opaque to everyone else, who only keeps and passes it.

    It is used linearly: ``step`` modifies the index it is given and returns it, and the one passed in must not be
    used again. ``work`` counts what was made since the beginning, by kind (``plan``, ``virtual host``, ``route
    configuration``, ``listener``, ``cluster``, ``endpoints``, ``certificate``, ``redirect``): the cost of a change,
    for tests and benchmarks.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.objects = Objects()
        self.plans: dict[ObjectName, Plan] = {}
        self.frontends: dict[str, Frontend] = {}
        self.listening: dict[str, int] = {}  # the ports listeners are made for now, by name without port
        self.cluster_users: Users[ClusterKey, Unit] = Users()
        self.clusters_of: Users[ObjectName, ClusterKey] = Users()
        self.service_users: Users[ObjectName, Unit] = Users()
        self.certificate_users: Users[ObjectName, Unit] = Users()
        self.authority_users: Users[ObjectName, ClusterKey] = Users()
        self.authorities: dict[ClusterKey, frozenset[ObjectName]] = {}  # the Secrets that verify endpoints
        self.closed: set[ClusterKey] = set()  # clusters that have to stay without endpoints
        self.without_discovery: set[ClusterKey] = set()  # clusters whose endpoints do not come by EDS
        self.https: set[str] = set()  # frontends that have an HTTPS listener, or would have one
        self.asked: dict[RedirectKey, Asked] = {}
        self.claimants: Users[Place, RedirectKey] = Users()  # who asks for a place where clients connect to
        self.findings = Findings()
        self.dirty = Dirty()
        self.emitted: dict[Key, Entry] = {}
        self.changed: dict[Key, Entry | None] = {}
        self.wanted: dict[str, int] = {}
        self.wanted_changed: dict[str, int | None] = {}
        self.work: Counter[str] = Counter()

    @classmethod
    def new(cls, settings: Settings) -> Index:
        """Return the index of no objects at all."""
        index = cls(settings)
        if settings.listener_mode is ListenerMode.SHARED:
            index.frontends[SHARED] = Frontend(SHARED)
            index.dirty.frontends.add(SHARED)
        if settings.default_certificate is not None:
            index.certificate_users.replace(DEFAULT_USER, frozenset(), frozenset((settings.default_certificate,)))
        return index

    def emit(self, entry: Entry) -> None:
        """Put a resource into the result of this step, unless it is what it was."""
        key = entry.key  # the same object in all mappings, which is 2 MB of 10,000 Services
        known = self.emitted.get(key)
        if known is not None and known.version == entry.version and known.refs == entry.refs:
            return
        self.emitted[key] = self.changed[key] = entry

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


DEFAULT_USER: Unit = ("", "")
"""Who uses the default certificate: all HTTPS listeners, not one host."""
