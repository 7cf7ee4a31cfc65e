"""The Kubernetes objects nodegate looks at, with only the fields that matter, as frozen values.

Field names are Python's (``ingress_class_name``); the wire form is Kubernetes' camelCase, which msgspec maps. Unknown
fields are ignored, missing ones take the API's default, a field of the wrong type is a decoding error that names its
path. Lists are tuples, so a decoded object never changes. Sources: the type comments of ``networking.k8s.io/v1``,
``core/v1`` and ``discovery.k8s.io/v1``.
"""

from __future__ import annotations

from datetime import datetime
from functools import cached_property
from typing import Any

import msgspec

from nodegate.model.refs import Kind, Ref


class _Value(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, gc=False):
    """Base of all parts of objects: immutable, camelCase on the wire.

    Nothing in them leads back to them, so the garbage collector need not look: 16 bytes less for each.
    """


class OwnerReference(_Value, frozen=True):
    """The owner of an object, as garbage collection sees it."""

    kind: str = ""
    name: str = ""
    uid: str = ""
    controller: bool | None = None


class Metadata(_Value, frozen=True):
    """The part of ``metadata`` that nodegate reads. ``creation_timestamp`` absent means oldest."""

    name: str
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    creation_timestamp: datetime | None = None
    deletion_timestamp: datetime | None = None
    labels: dict[str, str] = msgspec.field(default_factory=dict)
    annotations: dict[str, str] = msgspec.field(default_factory=dict)
    owner_references: tuple[OwnerReference, ...] = ()


class _Object(_Value, frozen=True, dict=True, gc=True):
    """Base of all objects: they have metadata, and a kind that the class fixes."""

    metadata: Metadata

    @cached_property  # asked for 50 times per object in a first listing; all that is keyed by it shares one value
    def ref(self) -> Ref:
        """The identity of this object."""
        return Ref(KIND_OF[type(self)], self.metadata.namespace, self.metadata.name)


# --- Ingress -----------------------------------------------------------------------------------------------------


class ServiceBackendPort(_Value, frozen=True):
    """A Service's port, by name or by number; exactly one is set in a valid object."""

    name: str = ""
    number: int = 0


class IngressServiceBackend(_Value, frozen=True):
    """A Service in the Ingress' own namespace."""

    name: str
    port: ServiceBackendPort = ServiceBackendPort()


class TypedLocalObjectReference(_Value, frozen=True):
    """A backend that is not a Service."""

    kind: str = ""
    name: str = ""
    api_group: str | None = None


class IngressBackend(_Value, frozen=True):
    """Where requests go: a Service or another resource."""

    service: IngressServiceBackend | None = None
    resource: TypedLocalObjectReference | None = None


class HTTPIngressPath(_Value, frozen=True):
    """One path of a rule. ``path_type`` is ``Exact``, ``Prefix`` or ``ImplementationSpecific``."""

    path_type: str
    backend: IngressBackend
    path: str = ""


class HTTPIngressRuleValue(_Value, frozen=True):
    """The paths of one rule."""

    paths: tuple[HTTPIngressPath, ...] = ()


class IngressRule(_Value, frozen=True):
    """One host and its paths; an empty host is every host."""

    host: str = ""
    http: HTTPIngressRuleValue | None = None


class IngressTLS(_Value, frozen=True):
    """Hosts served with the certificate of one Secret."""

    hosts: tuple[str, ...] = ()
    secret_name: str = ""


class IngressSpec(_Value, frozen=True):
    """What an Ingress asks for."""

    ingress_class_name: str | None = None
    default_backend: IngressBackend | None = None
    rules: tuple[IngressRule, ...] = ()
    tls: tuple[IngressTLS, ...] = ()


class LoadBalancerIngress(_Value, frozen=True):
    """One address of a load balancer, as a status shows it.

    ``ip_mode`` is ``VIP`` or ``Proxy`` in the status of a Service, and empty elsewhere.
    """

    ip: str = ""
    hostname: str = ""
    ip_mode: str = ""


class LoadBalancerStatus(_Value, frozen=True):
    """The addresses of a load balancer."""

    ingress: tuple[LoadBalancerIngress, ...] = ()


class ObjectStatus(_Value, frozen=True):
    """The status of an Ingress or a Service."""

    load_balancer: LoadBalancerStatus = LoadBalancerStatus()


class Ingress(_Object, frozen=True):
    """A ``networking.k8s.io/v1`` Ingress.

    ``status_is_ours`` is not in its manifest: whether the addresses in its status are there because nodegate says so.
    """

    spec: IngressSpec = IngressSpec()
    status: ObjectStatus = ObjectStatus()
    status_is_ours: bool = False


class IngressClassSpec(_Value, frozen=True):
    """Which controller a class belongs to."""

    controller: str = ""


class IngressClass(_Object, frozen=True):
    """A ``networking.k8s.io/v1`` IngressClass."""

    spec: IngressClassSpec = IngressClassSpec()


# --- Service -----------------------------------------------------------------------------------------------------


class ServicePort(_Value, frozen=True):
    """One port of a Service. ``target_port`` is not used: endpoints carry their own port numbers."""

    port: int
    name: str = ""
    protocol: str = "TCP"
    app_protocol: str | None = None
    node_port: int = 0
    target_port: int | str | None = None


class ServiceSpec(_Value, frozen=True):
    """What a Service offers."""

    type: str = "ClusterIP"
    cluster_ip: str = msgspec.field(default="", name="clusterIP")
    cluster_ips: tuple[str, ...] = msgspec.field(default=(), name="clusterIPs")
    external_ips: tuple[str, ...] = msgspec.field(default=(), name="externalIPs")
    ip_families: tuple[str, ...] = ()
    external_name: str = ""
    selector: dict[str, str] = msgspec.field(default_factory=dict)
    ports: tuple[ServicePort, ...] = ()
    session_affinity: str = "None"
    load_balancer_source_ranges: tuple[str, ...] = ()
    external_traffic_policy: str = ""
    internal_traffic_policy: str = ""
    traffic_distribution: str | None = None
    publish_not_ready_addresses: bool = False


class Service(_Object, frozen=True):
    """A core/v1 Service."""

    spec: ServiceSpec = ServiceSpec()
    status: ObjectStatus = ObjectStatus()


# --- EndpointSlice -----------------------------------------------------------------------------------------------

SERVICE_NAME_LABEL = "kubernetes.io/service-name"


class EndpointConditions(_Value, frozen=True):
    """Whether an endpoint may be used. Absent: ready is true, serving is ready, terminating is false."""

    ready: bool | None = None
    serving: bool | None = None
    terminating: bool | None = None


class Endpoint(_Value, frozen=True):
    """One endpoint of a slice; all its addresses are the same endpoint."""

    addresses: tuple[str, ...] = ()
    conditions: EndpointConditions = EndpointConditions()
    node_name: str | None = None
    zone: str | None = None
    hostname: str | None = None


class EndpointPort(_Value, frozen=True):
    """One port of all endpoints of a slice."""

    name: str | None = None
    port: int | None = None
    protocol: str | None = None
    app_protocol: str | None = None


class EndpointSlice(_Object, frozen=True):
    """A ``discovery.k8s.io/v1`` EndpointSlice."""

    address_type: str = "IPv4"
    endpoints: tuple[Endpoint, ...] = ()
    ports: tuple[EndpointPort, ...] = ()

    @property
    def service_name(self) -> str:
        """The Service this slice belongs to, in its own namespace; empty when it says none."""
        return self.metadata.labels.get(SERVICE_NAME_LABEL, "")


# --- Secret, Namespace, Node -------------------------------------------------------------------------------------


WITHHELD_KEY = b"The private key was there and was good; it is not kept in the state folder."
"""What stands for the private key in a Secret that was kept without it."""


class Secret(_Object, frozen=True):
    """A ``kubernetes.io/tls`` Secret. Its data never shows in ``repr``, so it cannot slip into a log."""

    type: str = "Opaque"
    data: dict[str, bytes] = msgspec.field(default_factory=dict)

    def __rich_repr__(self) -> Any:
        """Yield what may be shown."""
        yield "metadata", self.metadata
        yield "keys", sorted(self.data)

    def __repr__(self) -> str:
        """Name the Secret and its keys, never its data."""
        return f"Secret({self.metadata.namespace}/{self.metadata.name}, keys={sorted(self.data)})"


class NamespaceStatus(_Value, frozen=True):
    """The phase of a Namespace: ``Active`` or ``Terminating``."""

    phase: str = "Active"


class Namespace(_Object, frozen=True):
    """A core/v1 Namespace."""

    status: NamespaceStatus = NamespaceStatus()


class NodeAddress(_Value, frozen=True):
    """One address of a node."""

    type: str = ""
    address: str = ""


class NodeStatus(_Value, frozen=True):
    """The addresses of a node."""

    addresses: tuple[NodeAddress, ...] = ()


class Node(_Object, frozen=True):
    """A core/v1 Node."""

    status: NodeStatus = NodeStatus()


Object = Ingress | IngressClass | Service | EndpointSlice | Secret | Namespace | Node

KIND_OF: dict[type, Kind] = {
    Ingress: Kind.INGRESS,
    IngressClass: Kind.INGRESS_CLASS,
    Service: Kind.SERVICE,
    EndpointSlice: Kind.ENDPOINT_SLICE,
    Secret: Kind.SECRET,
    Namespace: Kind.NAMESPACE,
    Node: Kind.NODE,
}
