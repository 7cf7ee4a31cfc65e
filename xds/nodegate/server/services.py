"""The discovery services of the Envoy API and their methods, as a table."""

from __future__ import annotations

from dataclasses import dataclass

from nodegate.snapshot.type_urls import CLUSTER, ENDPOINT, LISTENER, ROUTE, SECRET


@dataclass(frozen=True, slots=True)
class Service:
    """One gRPC service. ``type_url`` is empty for the aggregated one, which serves every type on one stream."""

    name: str
    type_url: str
    stream: str
    delta: str
    fetch: str = ""


AGGREGATED = Service(
    "envoy.service.discovery.v3.AggregatedDiscoveryService", "", "StreamAggregatedResources", "DeltaAggregatedResources"
)


def _single(folder: str, service: str, type_url: str, plural: str) -> Service:
    name = f"envoy.service.{folder}.v3.{service}DiscoveryService"
    return Service(name, type_url, f"Stream{plural}", f"Delta{plural}", f"Fetch{plural}")


SERVICES = (
    AGGREGATED,
    _single("cluster", "Cluster", CLUSTER, "Clusters"),
    _single("endpoint", "Endpoint", ENDPOINT, "Endpoints"),
    _single("listener", "Listener", LISTENER, "Listeners"),
    _single("route", "Route", ROUTE, "Routes"),
    _single("secret", "Secret", SECRET, "Secrets"),
)
