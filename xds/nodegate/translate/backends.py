"""From a reference in an Ingress to a cluster: a Service's port, by number or by name (ingress.md 21, 22)."""

from __future__ import annotations

from nodegate.model.problem import Problem
from nodegate.model.refs import Ref
from nodegate.translate import codes
from nodegate.translate.names import ClusterKey, ObjectName
from nodegate.translate.upstreams import Upstream


def resolve(
    service: ObjectName, port: str, upstream: Upstream | None, ref: Ref, field: str
) -> tuple[ClusterKey, Problem | None]:
    """Return the cluster a reference leads to, and what is wrong with it; ``field`` is where ``ref`` says it.

    There is a cluster even when the Service or port is missing: it is empty, so requests answer 503 at once instead
    of leaking to a less specific route (ingress.md 29).
    """
    if upstream is None:
        message = f"There is no Service {service[1]!r} in namespace {service[0]!r}."
        return ClusterKey(service, port), codes.SERVICE_NOT_FOUND.found(ref, field, message)
    found = upstream.port(port)
    if found is None and upstream.is_external and port.isdecimal():
        return ClusterKey(service, port), None  # it need not list its ports (ingress.md 28)
    if found is None:
        message = f"Service {service[1]!r} has no TCP port {port!r}; it has {_ports(upstream)}."
        return ClusterKey(service, port), codes.SERVICE_PORT_NOT_FOUND.found(ref, field, message)
    return ClusterKey(service, str(found.port)), None


def _ports(upstream: Upstream) -> str:
    ports = upstream.service.spec.ports
    return ", ".join(f"{port.port} ({port.name})" if port.name else str(port.port) for port in ports) or "none"
