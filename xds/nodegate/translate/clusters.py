"""Clusters: one per Service port that a route leads to; their endpoints come by EDS under the same name."""

from __future__ import annotations

from typing import Any

from envoy.config.cluster.v3 import cluster_pb2
from envoy.extensions.upstreams.http.v3 import http_protocol_options_pb2

from nodegate.snapshot.resource import Resource
from nodegate.snapshot.type_urls import CLUSTER, ENDPOINT
from nodegate.translate.names import ClusterKey, service_ref
from nodegate.translate.packing import pack, seconds, serialised

Cluster = cluster_pb2.Cluster

CONNECT_TIMEOUT = 5.0
"""Seconds an endpoint may take to accept a connection (ingress.md 43)."""

_HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
# Limits that protect Envoy's memory and not the application: many idle WebSockets must not turn into 503.
_MOST_AT_ONCE = 65_536
_RETRY_SHARE, _RETRIES_ALWAYS = 25.0, 10


def cluster(key: ClusterKey) -> Resource:
    """Return the EDS cluster of a Service's port (ingress.md 22)."""
    name = key.name
    message = Cluster()
    message.CopyFrom(_TEMPLATE)
    message.name = name
    message.eds_cluster_config.service_name = name
    return Resource(CLUSTER, name, serialised(message), refs=((ENDPOINT, name),), causes=(service_ref(key.service),))


def _template() -> Any:
    message = Cluster(
        type=Cluster.EDS,
        connect_timeout=seconds(CONNECT_TIMEOUT),
        lb_policy=Cluster.LEAST_REQUEST,
        ignore_health_on_host_removal=True,  # an endpoint that is gone gets no more requests, at once
    )
    message.eds_cluster_config.eds_config.ads.SetInParent()
    message.eds_cluster_config.eds_config.resource_api_version = 2  # V3
    # Else Envoy sends to endpoints that are not ready when most of them are not (ingress.md 25).
    message.common_lb_config.healthy_panic_threshold.SetInParent()
    _add_circuit_breakers(message)
    # HTTP/1.1 whatever the client speaks: an application has to say that it understands more (ingress.md 33).
    options = http_protocol_options_pb2.HttpProtocolOptions()
    options.explicit_http_config.http_protocol_options.SetInParent()
    pack(message.typed_extension_protocol_options[_HTTP_OPTIONS], options)
    return message


def _add_circuit_breakers(message: Any) -> None:
    thresholds = message.circuit_breakers.thresholds.add()
    for limit in (thresholds.max_connections, thresholds.max_pending_requests, thresholds.max_requests):
        limit.value = _MOST_AT_ONCE
    thresholds.retry_budget.budget_percent.value = _RETRY_SHARE
    thresholds.retry_budget.min_retry_concurrency.value = _RETRIES_ALWAYS


_TEMPLATE = _template()
