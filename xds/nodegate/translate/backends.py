"""From a reference in an Ingress to a cluster: a Service's port, by number or by name (ingress.md 21, 22)."""

from __future__ import annotations

from nodegate.model.objects import Service, ServicePort
from nodegate.model.problem import Problem
from nodegate.model.refs import Ref
from nodegate.translate import codes
from nodegate.translate.names import ClusterKey
from nodegate.translate.plan import Backend


def service_port(service: Service, port: str) -> ServicePort | None:
    """Return the TCP port with this number or name, or None. Digits are a number, never a name."""
    for candidate in service.spec.ports:
        known_as = str(candidate.port) if port.isdecimal() else candidate.name
        if candidate.protocol == "TCP" and port == known_as:
            return candidate
    return None


def resolve(backend: Backend, service: Service | None, ref: Ref) -> tuple[ClusterKey | None, Problem | None]:
    """Return the cluster a backend leads to, and what is wrong with it.

    There is a cluster even when the Service or port is missing: it is empty, so requests answer 503 at once instead
    of leaking to a less specific route (ingress.md 29). None is for a backend that can lead nowhere.
    """
    if backend.service is None:
        return None, None
    if service is None:
        message = f"There is no Service {backend.service[1]!r} in namespace {backend.service[0]!r}."
        problem = codes.SERVICE_NOT_FOUND.found(ref, f"{backend.field}.service.name", message)
        return ClusterKey(backend.service, backend.port), problem
    port = service_port(service, backend.port)
    if port is None:
        message = f"Service {backend.service[1]!r} has no TCP port {backend.port!r}; it has {_ports(service)}."
        problem = codes.SERVICE_PORT_NOT_FOUND.found(ref, f"{backend.field}.service.port", message)
        return ClusterKey(backend.service, backend.port), problem
    return ClusterKey(backend.service, str(port.port)), None


def _ports(service: Service) -> str:
    named = [f"{port.port} ({port.name})" if port.name else str(port.port) for port in service.spec.ports]
    return ", ".join(named) or "none"
