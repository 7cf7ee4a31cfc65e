"""Real resources for real clients: as small as they accept."""

from __future__ import annotations

from typing import Any

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.config.route.v3 import route_pb2
from envoy.extensions.filters.http.router.v3 import router_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2

from nodegate.snapshot.publisher import Publisher
from nodegate.snapshot.resource import Entry, Key, Resource
from nodegate.snapshot.target import Target
from nodegate.snapshot.type_urls import CLUSTER, ENDPOINT, LISTENER, ROUTE

V3 = 2


def put(publisher: Publisher, *entries: Resource) -> None:
    """Publish a target with these in it."""
    changes: dict[Key, Entry | None] = {entry.key: entry for entry in entries}
    publisher.publish((publisher.target or Target()).apply(changes))


def manager() -> Any:
    """Return a connection manager that takes its routes by RDS."""
    message: Any = http_connection_manager_pb2.HttpConnectionManager(stat_prefix="test")
    message.rds.route_config_name = "routes"
    message.rds.config_source.ads.SetInParent()
    message.rds.config_source.resource_api_version = V3
    message.http_filters.add(name="router").typed_config.Pack(router_pb2.Router())
    return message


def service_listener(name: str) -> Resource:
    """Return the listener that a gRPC client asks for by the name of the service."""
    message: Any = listener_pb2.Listener(name=name)
    message.api_listener.api_listener.Pack(manager())
    return Resource(LISTENER, name, message.SerializeToString(), refs=((ROUTE, "routes"),))


def socket_listener(name: str, port: int) -> Resource:
    """Return a listener of a proxy."""
    message: Any = listener_pb2.Listener(name=name)
    message.address.socket_address.address = "127.0.0.1"
    message.address.socket_address.port_value = port
    message.filter_chains.add().filters.add(name="http").typed_config.Pack(manager())
    return Resource(LISTENER, name, message.SerializeToString(), refs=((ROUTE, "routes"),))


def routes(cluster: str) -> Resource:
    """Return routes that lead everything to one cluster."""
    message: Any = route_pb2.RouteConfiguration(name="routes")
    host = message.virtual_hosts.add(name="all", domains=["*"])
    host.routes.add(match={"prefix": ""}, route={"cluster": cluster})
    return Resource(ROUTE, "routes", message.SerializeToString(), refs=((CLUSTER, cluster),))


def cluster(name: str, *, connect_timeout: int = 5) -> Resource:
    """Return a cluster whose endpoints come by EDS. A timeout that is not positive is against Envoy's schema."""
    message: Any = cluster_pb2.Cluster(name=name, type=cluster_pb2.Cluster.EDS)
    message.connect_timeout.seconds = connect_timeout
    message.eds_cluster_config.eds_config.ads.SetInParent()
    message.eds_cluster_config.eds_config.resource_api_version = V3
    return Resource(CLUSTER, name, message.SerializeToString(), refs=((ENDPOINT, name),))


def unknown_cluster(name: str) -> Resource:
    """Return a cluster that Envoy can read and cannot make: it needs an extension that there is not."""
    message: Any = cluster_pb2.Cluster.FromString(cluster(name).body)
    message.transport_socket.name = "nowhere"
    message.transport_socket.typed_config.type_url = "type.googleapis.com/nodegate.test.Nowhere"
    return Resource(CLUSTER, name, message.SerializeToString(), refs=((ENDPOINT, name),))


def endpoints(name: str, port: int) -> Resource:
    """Return endpoints that are one port of this machine."""
    message: Any = endpoint_pb2.ClusterLoadAssignment(cluster_name=name)
    locality = message.endpoints.add(load_balancing_weight={"value": 1})
    locality.locality.zone = "here"
    address = locality.lb_endpoints.add().endpoint.address.socket_address
    address.address, address.port_value = "127.0.0.1", port
    return Resource(ENDPOINT, name, message.SerializeToString())
