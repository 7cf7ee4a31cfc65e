"""A snapshot as one complete static Envoy configuration: for ``translate --static`` and ``envoy --mode validate``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from envoy.config.bootstrap.v3 import bootstrap_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2
from envoy.extensions.transport_sockets.tls.v3 import tls_pb2
from google.protobuf.any_pb2 import Any as AnyMessage

from nodegate.snapshot.facts import NodeFacts
from nodegate.snapshot.resource import Entry
from nodegate.snapshot.type_urls import CLUSTER, ENDPOINT, LISTENER, ROUTE, SECRET
from nodegate.translate.packing import pack
from nodegate.translate.render import as_plain, message_of

Messages = dict[str, dict[str, Any]]
"""Decoded messages by type URL and name."""


def static_configuration(entries: Iterable[Entry], facts: NodeFacts) -> dict[str, Any]:
    """Return a complete Envoy configuration that serves these resources without a control plane.

    What ADS would deliver is written in place: endpoints in their clusters, routes in their listeners, certificates
    in ``static_resources.secrets`` *with their private keys*. The value is the JSON form of Envoy's Bootstrap.
    """
    messages: Messages = {}
    for entry in entries:
        resource = entry.resolve(facts)
        messages.setdefault(resource.type_url, {})[resource.name] = message_of(resource)
    bootstrap = bootstrap_pb2.Bootstrap()
    static = bootstrap.static_resources
    static.clusters.extend(_with_endpoints(cluster, messages) for cluster in _of_type(messages, CLUSTER))
    static.secrets.extend(_of_type(messages, SECRET))
    static.listeners.extend(_with_routes(listener, messages) for listener in _of_type(messages, LISTENER))
    return as_plain(bootstrap)


def _of_type(messages: Messages, type_url: str) -> list[Any]:
    of_type = messages.get(type_url, {})
    return [of_type[name] for name in sorted(of_type)]


def _with_endpoints(cluster: Any, messages: Messages) -> Any:
    if cluster.HasField("eds_cluster_config"):
        assignment = messages.get(ENDPOINT, {}).get(cluster.eds_cluster_config.service_name)
        cluster.ClearField("eds_cluster_config")
        cluster.type = cluster.STATIC
        cluster.load_assignment.cluster_name = cluster.name
        if assignment is not None:
            cluster.load_assignment.CopyFrom(assignment)
    _localise_authority(cluster)
    return cluster


def _localise_authority(cluster: Any) -> None:
    context = tls_pb2.UpstreamTlsContext()
    if cluster.transport_socket.typed_config.Unpack(context):
        validation = context.common_tls_context.combined_validation_context
        if validation.HasField("validation_context_sds_secret_config"):
            validation.validation_context_sds_secret_config.ClearField("sds_config")
        pack(cluster.transport_socket.typed_config, context)


def _with_routes(listener: Any, messages: Messages) -> Any:
    chains = [*listener.filter_chains]
    if listener.HasField("default_filter_chain"):
        chains.append(listener.default_filter_chain)
    for chain in chains:
        _localise_certificates(chain)
        for network_filter in chain.filters:
            _inline_routes(network_filter.typed_config, messages)
    return listener


def _inline_routes(typed_config: AnyMessage, messages: Messages) -> None:
    manager = http_connection_manager_pb2.HttpConnectionManager()
    if not typed_config.Unpack(manager) or not manager.HasField("rds"):
        return
    routes = messages.get(ROUTE, {}).get(manager.rds.route_config_name)
    manager.route_config.name = manager.rds.route_config_name
    if routes is not None:
        manager.route_config.CopyFrom(routes)
    pack(typed_config, manager)


def _localise_certificates(chain: Any) -> None:
    context = tls_pb2.DownstreamTlsContext()
    if not chain.transport_socket.typed_config.Unpack(context):
        return
    for certificate in context.common_tls_context.tls_certificate_sds_secret_configs:
        certificate.ClearField("sds_config")
    pack(chain.transport_socket.typed_config, context)
