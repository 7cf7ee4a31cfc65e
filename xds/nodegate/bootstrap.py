"""The configuration an Envoy is started with: who it is, and where its configuration comes from.

Everything else arrives over one ADS stream. Fields: ``envoy.config.bootstrap.v3.Bootstrap``.
"""

from __future__ import annotations

from typing import Any

import msgspec

from nodegate.settings import Address, TcpAddress, UnixAddress

XDS_CLUSTER = "nodegate_xds"

NODE_KEY = "nodegate.dev/node"
"""Metadata: the Kubernetes node's name."""
ZONE_KEY = "nodegate.dev/zone"
"""Metadata: the node's zone, ``topology.kubernetes.io/zone``; ``node.locality.zone`` says the same."""
TRANSPARENT_KEY = "nodegate.dev/transparent"
"""Metadata: whether this Envoy may bind transparently, which takes NET_ADMIN."""

UPSTREAM_MARK = 0xA00
"""SO_MARK of Envoy's own connections, so that the redirect never takes them back to Envoy (redirect 13)."""

_SOL_SOCKET, _SO_MARK = 1, 36

_HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_TLS = "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext"
_CONNECTIONS = "envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig"


class XdsTls(msgspec.Struct, frozen=True, kw_only=True):
    """How Envoy checks the control plane, and proves which node it is. Paths are those on Envoy's machine.

    ``ca`` signed the control plane's certificate, which has to be for ``server_name``, a DNS name or an IP address.
    ``certificate`` and ``key`` are Envoy's own; the certificate has to name the node (DESIGN 3.8). Envoy reads all of
    them at its start.
    """

    ca: str
    server_name: str
    certificate: str = ""
    key: str = ""


class BootstrapSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of ``nodegate bootstrap``.

    ``node_id`` empty means ``node_name``. ``redirect`` says that this node's agent steers traffic to Envoy: listeners
    are transparent and upstream connections carry a mark, both of which take NET_ADMIN. ``sotw`` asks for state of
    the world instead of delta. ``tls`` None speaks plaintext. ``max_connections`` limits the clients' connections of
    the whole Envoy.
    """

    xds_address: Address
    node_name: str
    node_id: str = ""
    cluster: str = "nodegate"
    zone: str = ""
    admin_address: Address = TcpAddress("127.0.0.1", 9901)
    redirect: bool = False
    sotw: bool = False
    tls: XdsTls | None = None
    max_connections: int = 50_000


def bootstrap(settings: BootstrapSettings) -> dict[str, Any]:
    """Return the bootstrap as plain values, ready for JSON or YAML."""
    return {
        "node": _node(settings),
        "admin": {"address": _address(settings.admin_address)},
        "dynamic_resources": _dynamic_resources(sotw=settings.sotw),
        "static_resources": {"clusters": [_xds_cluster(settings.xds_address, settings.tls)]},
        **(_upstream_mark() if settings.redirect else {}),
        "overload_manager": _overload_manager(settings.max_connections),
        "layered_runtime": {"layers": [{"name": "admin", "admin_layer": {}}]},
    }


def _node(settings: BootstrapSettings) -> dict[str, Any]:
    metadata: dict[str, Any] = {NODE_KEY: settings.node_name, TRANSPARENT_KEY: settings.redirect}
    node: dict[str, Any] = {"id": settings.node_id or settings.node_name, "cluster": settings.cluster}
    if settings.zone:
        metadata[ZONE_KEY] = settings.zone
        node["locality"] = {"zone": settings.zone}
    return {**node, "metadata": metadata}


def _dynamic_resources(*, sotw: bool) -> dict[str, Any]:
    # Envoy stays "initializing", so not ready, until clusters and listeners have come: with the default of 15 s an
    # Envoy that starts while no control plane answers would call itself ready and refuse every connection.
    over_ads = {"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "0s"}
    service = {
        "envoy_grpc": {
            "cluster_name": XDS_CLUSTER,
            # Without a policy Envoy waits up to 30 s between attempts: too long after a control plane's restart.
            "retry_policy": {"retry_back_off": {"base_interval": "0.25s", "max_interval": "5s"}},
        }
    }
    return {
        "ads_config": {
            "api_type": "GRPC" if sotw else "DELTA_GRPC",
            "transport_api_version": "V3",
            "set_node_on_first_message_only": True,
            "grpc_services": [service],
        },
        "cds_config": over_ads,
        "lds_config": over_ads,
    }


def _xds_cluster(address: Address, tls: XdsTls | None) -> dict[str, Any]:
    """Return the cluster of the control plane, whose death is noticed within 20 s also when no packet says so."""
    return {
        "name": XDS_CLUSTER,
        **_discovery(address),
        "connect_timeout": "2s",
        **({"transport_socket": _transport_socket(tls)} if tls else {}),
        "load_assignment": {
            "cluster_name": XDS_CLUSTER,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": _address(address)}}]}],
        },
        "typed_extension_protocol_options": {
            _HTTP_OPTIONS: {
                "@type": f"type.googleapis.com/{_HTTP_OPTIONS}",
                "explicit_http_config": {
                    "http2_protocol_options": {"connection_keepalive": {"interval": "15s", "timeout": "5s"}}
                },
            }
        },
        "upstream_connection_options": {
            "tcp_keepalive": {"keepalive_time": 30, "keepalive_interval": 5, "keepalive_probes": 3}
        },
    }


def _transport_socket(tls: XdsTls) -> dict[str, Any]:
    """Return TLS that accepts the one server name only: a certificate of the same CA is not enough."""
    by_ip = TcpAddress(tls.server_name, 0).is_ip
    name = {"san_type": "IP_ADDRESS" if by_ip else "DNS", "matcher": {"exact": tls.server_name}}
    common: dict[str, Any] = {
        "alpn_protocols": ["h2"],
        "validation_context": {"trusted_ca": {"filename": tls.ca}, "match_typed_subject_alt_names": [name]},
    }
    if tls.certificate:
        own = {"certificate_chain": {"filename": tls.certificate}, "private_key": {"filename": tls.key}}
        common["tls_certificates"] = [own]
    context: dict[str, Any] = {"@type": f"type.googleapis.com/{_TLS}", "common_tls_context": common}
    if not by_ip:
        context["sni"] = tls.server_name
    return {"name": "envoy.transport_sockets.tls", "typed_config": context}


def _discovery(address: Address) -> dict[str, Any]:
    if isinstance(address, UnixAddress) or address.is_ip:
        return {"type": "STATIC"}
    return {"type": "STRICT_DNS", "dns_lookup_family": "ALL"}


def _address(address: Address) -> dict[str, Any]:
    if isinstance(address, UnixAddress):
        return {"pipe": {"path": address.path}}
    return {"socket_address": {"address": address.host, "port_value": address.port}}


def _upstream_mark() -> dict[str, Any]:
    mark = {
        "description": "never redirect Envoy's own connections",
        "level": _SOL_SOCKET,
        "name": _SO_MARK,
        "int_value": UPSTREAM_MARK,
        "state": "STATE_PREBIND",
    }
    return {"cluster_manager": {"upstream_bind_config": {"socket_options": [mark]}}}


def _overload_manager(max_connections: int) -> dict[str, Any]:
    monitor = {
        "name": "envoy.resource_monitors.global_downstream_max_connections",
        "typed_config": {
            "@type": f"type.googleapis.com/{_CONNECTIONS}",
            "max_active_downstream_connections": max_connections,
        },
    }
    return {"resource_monitors": [monitor]}
