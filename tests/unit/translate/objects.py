"""Short ways to write the objects that tests of translation are about. The namespace is ``default``."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec

from nodegate.model.changes import Change, Claimed, Upsert
from nodegate.model.generated_service import INGRESS_ANNOTATION, service_name
from nodegate.model.objects import (
    SERVICE_NAME_LABEL,
    Endpoint,
    EndpointConditions,
    EndpointPort,
    EndpointSlice,
    HTTPIngressPath,
    HTTPIngressRuleValue,
    Ingress,
    IngressBackend,
    IngressClass,
    IngressClassSpec,
    IngressRule,
    IngressServiceBackend,
    IngressSpec,
    IngressTLS,
    LoadBalancerIngress,
    LoadBalancerStatus,
    Metadata,
    Object,
    ObjectStatus,
    Secret,
    Service,
    ServiceBackendPort,
    ServicePort,
    ServiceSpec,
)
from nodegate.translate.settings import CONTROLLER

START = datetime(2026, 1, 1, tzinfo=UTC)


def metadata(
    name: str, namespace: str = "default", age: int | None = None, annotations: dict[str, str] | None = None
) -> Metadata:
    """Return metadata; the object was created ``age`` seconds after some start, or its age is unknown."""
    timestamp = None if age is None else START + timedelta(seconds=age)
    return Metadata(name, namespace, creation_timestamp=timestamp, annotations=annotations or {})


def backend(service: str) -> IngressBackend:
    """Return the backend ``service:port``, the port a number or a name."""
    name, _, port = service.partition(":")
    by = ServiceBackendPort(number=int(port)) if port.isdecimal() else ServiceBackendPort(name=port)
    return IngressBackend(service=IngressServiceBackend(name, by))


def rule(paths: dict[str, str], host: str = "") -> IngressRule:
    """Return a rule of prefixes and ``service:port``; a path that starts with ``=`` is exact."""
    return IngressRule(host, HTTPIngressRuleValue(tuple(_path(path, to) for path, to in paths.items())))


def _path(path: str, to: str) -> HTTPIngressPath:
    return HTTPIngressPath("Exact" if path.startswith("=") else "Prefix", backend(to), path.removeprefix("="))


def tls(secret: str, *hosts: str) -> IngressTLS:
    """Return an entry of ``tls``; an empty secret means the default certificate."""
    return IngressTLS(hosts, secret)


def ingress(
    name: str,
    *rules: IngressRule,
    class_name: str | None = "nodegate",
    default: str = "",
    age: int | None = None,
    namespace: str = "default",
    tls: tuple[IngressTLS, ...] = (),
    **annotations: str,
) -> Ingress:
    """Return an Ingress of these rules, its default backend ``service:port`` if given.

    An annotation ``a_b="x"`` is ``nodegate.dev/a-b: x``.
    """
    spec = IngressSpec(class_name, backend(default) if default else None, rules, tls)
    return Ingress(metadata(name, namespace, age, _own(annotations)), spec)


def _own(annotations: dict[str, str]) -> dict[str, str]:
    return {f"nodegate.dev/{name.replace('_', '-')}": value for name, value in annotations.items()}


def secret(name: str, data: dict[str, bytes], namespace: str = "default") -> Secret:
    """Return a TLS Secret."""
    return Secret(metadata(name, namespace), "kubernetes.io/tls", data)


def ingress_class(name: str, *, controller: str = CONTROLLER, default: bool = False, age: int = 0) -> IngressClass:
    """Return an IngressClass, ours unless another controller is given."""
    annotations = {"ingressclass.kubernetes.io/is-default-class": "true"} if default else {}
    return IngressClass(metadata(name, "", age, annotations), IngressClassSpec(controller))


def service(
    name: str,
    *ports: tuple[str, int] | ServicePort,
    namespace: str = "default",
    spec: ServiceSpec | None = None,
    **annotations: str,
) -> Service:
    """Return a Service with these named ports; one nameless port 80 if none is given. ``spec`` is all but the ports."""
    listed = tuple(p if isinstance(p, ServicePort) else ServicePort(p[1], p[0]) for p in ports or (("", 80),))
    whole = msgspec.structs.replace(spec or ServiceSpec(), ports=listed)
    return Service(metadata(name, namespace, None, _own(annotations)), whole)


def front_door(
    of: str,
    *,
    spec: ServiceSpec | None = None,
    balanced: tuple[str, ...] = (),
    node_ports: tuple[int, int] = (0, 0),
    age: int | None = None,
    namespace: str = "default",
    annotations: dict[str, str] | None = None,
) -> Service:
    """Return the Service by which clients reach an Ingress' listeners; ``balanced`` are its load balancer's addresses.

    ``spec`` is all but the ports, which are 80 and 443.
    """
    ports = (ServicePort(80, "http", node_port=node_ports[0]), ServicePort(443, "https", node_port=node_ports[1]))
    status = ObjectStatus(LoadBalancerStatus(tuple(LoadBalancerIngress(ip=address) for address in balanced)))
    own = {INGRESS_ANNOTATION: of, **(annotations or {})}
    whole = msgspec.structs.replace(spec or ServiceSpec(cluster_ip="10.96.0.1"), ports=ports)
    return Service(metadata(service_name(of), namespace, age, own), whole, status)


READY = EndpointConditions(ready=True)
NOT_READY = EndpointConditions(ready=False)
TERMINATING = EndpointConditions(ready=False, serving=True, terminating=True)


def at(address: str, node: str = "", zone: str = "", conditions: EndpointConditions = READY) -> Endpoint:
    """Return an endpoint at a place."""
    return Endpoint((address,), conditions, node_name=node or None, zone=zone or None)


def endpoints(
    of: str,
    *addresses: str | tuple[str, EndpointConditions] | Endpoint,
    port: int | None = 8080,
    port_name: str | None = "",
    name: str = "",
    address_type: str = "IPv4",
    namespace: str = "default",
) -> EndpointSlice:
    """Return an EndpointSlice of a Service, its endpoints ready unless their conditions are given."""
    return EndpointSlice(
        Metadata(name or f"{of}-1", namespace, labels={SERVICE_NAME_LABEL: of}),
        address_type,
        tuple(_endpoint(address) for address in addresses),
        (EndpointPort(port_name, port),),
    )


def _endpoint(given: str | tuple[str, EndpointConditions] | Endpoint) -> Endpoint:
    if isinstance(given, Endpoint):
        return given
    address, conditions = (given, READY) if isinstance(given, str) else given
    return Endpoint((address,), conditions)


def upserts(*objects: Object) -> list[Change]:
    """Return one change per object."""
    return [Upsert(content) for content in objects]


def claimed(*listeners: str) -> list[Change]:
    """Return a claim for each listener, on ports from 18000."""
    return [Claimed(listener, 18_000 + number) for number, listener in enumerate(listeners)]
