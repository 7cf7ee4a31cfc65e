"""The HTTP connection manager: everything about HTTP that is the same for all routes of a listener."""

from __future__ import annotations

from typing import Any

from envoy.extensions.filters.http.router.v3 import router_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2
from google.protobuf.wrappers_pb2 import BoolValue, UInt32Value

from nodegate.translate.packing import pack, seconds

HttpConnectionManager = http_connection_manager_pb2.HttpConnectionManager

STREAM_IDLE_TIMEOUT = 300.0
"""Seconds after which a request on which nothing moves is ended (ingress.md 43)."""


def connection_manager(route_configuration: str) -> Any:
    """Return the connection manager of a listener whose routes come by RDS under this name."""
    manager = HttpConnectionManager()
    manager.CopyFrom(_TEMPLATE)
    manager.stat_prefix = route_configuration
    manager.rds.route_config_name = route_configuration
    return manager


def _template() -> Any:
    manager = HttpConnectionManager(
        # The client's address is that of its connection; what it claims in x-forwarded-for is appended to, not
        # believed (ingress.md 44).
        use_remote_address=BoolValue(value=True),
        generate_request_id=BoolValue(value=True),
        # Paths are compared after dot segments are removed, so that /a/../b cannot pass as /a (ingress.md 13).
        normalize_path=BoolValue(value=True),
        path_with_escaped_slashes_action=HttpConnectionManager.REJECT_REQUEST,
        strip_trailing_host_dot=True,  # `foo.com.` is foo.com (ingress.md 45)
        stream_idle_timeout=seconds(STREAM_IDLE_TIMEOUT),
        request_headers_timeout=seconds(30),  # a client that never ends its headers holds no connection for ever
    )
    manager.rds.config_source.ads.SetInParent()
    manager.rds.config_source.resource_api_version = 2  # V3
    manager.common_http_protocol_options.idle_timeout.CopyFrom(seconds(3600))
    manager.http2_protocol_options.max_concurrent_streams.CopyFrom(UInt32Value(value=100))
    manager.http2_protocol_options.initial_stream_window_size.CopyFrom(UInt32Value(value=65_536))
    manager.http2_protocol_options.initial_connection_window_size.CopyFrom(UInt32Value(value=1_048_576))
    manager.upgrade_configs.add(upgrade_type="websocket")  # always (ingress.md 42)
    router = manager.http_filters.add(name="envoy.filters.http.router")
    pack(router.typed_config, router_pb2.Router())
    return manager


_TEMPLATE = _template()
