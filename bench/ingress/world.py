"""The objects: as many Services as asked for, each with ten endpoints and an Ingress with a host of its own."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from nodegate.model.changes import Upsert
from nodegate.model.objects import (
    SERVICE_NAME_LABEL,
    Endpoint,
    EndpointPort,
    EndpointSlice,
    HTTPIngressPath,
    HTTPIngressRuleValue,
    Ingress,
    IngressBackend,
    IngressRule,
    IngressServiceBackend,
    IngressSpec,
    Metadata,
    Service,
    ServiceBackendPort,
    ServicePort,
    ServiceSpec,
)

_START = datetime(2026, 1, 1, tzinfo=UTC)


def objects(size: int) -> Iterator[Upsert]:
    """Yield the first content of everything."""
    for number in range(size):
        yield Upsert(service(number))
        yield Upsert(endpoints(number))
        yield Upsert(ingress(number))


def service(number: int, generation: int = 0) -> Service:
    """Return one Service; its annotations differ with the generation."""
    metadata = Metadata(f"app-{number}", "default", annotations={"generation": str(generation)})
    return Service(metadata, ServiceSpec(ports=(ServicePort(80, "http"),)))


def endpoints(number: int, generation: int = 0) -> EndpointSlice:
    """Return the ten endpoints of one Service; other generations have other addresses."""
    first = generation % 25 * 10
    ips = [f"10.{number >> 8 & 255}.{number & 255}.{first + last}" for last in range(10)]
    metadata = Metadata(f"app-{number}-1", "default", labels={SERVICE_NAME_LABEL: f"app-{number}"})
    return EndpointSlice(metadata, "IPv4", tuple(Endpoint((ip,)) for ip in ips), (EndpointPort("http", 8080),))


def ingress(number: int, generation: int = 0) -> Ingress:
    """Return one Ingress with a host of its own; generations after the first have one more path."""
    backend = IngressBackend(IngressServiceBackend(f"app-{number}", ServiceBackendPort(number=80)))
    paths = ("/", f"/{generation}") if generation else ("/",)
    rule = HTTPIngressRuleValue(tuple(HTTPIngressPath("Prefix", backend, path) for path in paths))
    metadata = Metadata(f"web-{number}", "default", creation_timestamp=_START + timedelta(seconds=number))
    return Ingress(metadata, IngressSpec("nodegate", rules=(IngressRule(f"h{number}.example.com", rule),)))


def cluster(number: int) -> str:
    """Return the name of a Service's cluster and ClusterLoadAssignment."""
    return f"default/app-{number}/80"


def route(number: int) -> str:
    """Return the name of the RouteConfiguration of an Ingress with listeners of its own."""
    return f"default/web-{number}/http"
