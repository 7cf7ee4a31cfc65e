"""The HTTP connection manager: everything about HTTP that is the same for all routes of a listener."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from envoy.config.core.v3 import base_pb2, protocol_pb2
from envoy.extensions.access_loggers.file.v3 import file_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2
from envoy.extensions.http.early_header_mutation.header_mutation.v3 import header_mutation_pb2
from google.protobuf.wrappers_pb2 import BoolValue, UInt32Value

from nodegate.translate.filters import add_filters
from nodegate.translate.names import Scheme
from nodegate.translate.packing import pack, seconds
from nodegate.translate.settings import EscapedSlashes, Settings

HttpConnectionManager = http_connection_manager_pb2.HttpConnectionManager

STREAM_IDLE_TIMEOUT = 300.0
"""Seconds after which a request on which nothing moves is ended (ingress.md 43)."""

CHAIN_HEADER, SNI_HEADER = "x-nodegate-chain", "x-nodegate-sni"
"""Request headers that exist inside Envoy only: the filter chain a request came in by, and the name its TLS client
asked for. Routes compare them to answer 421; they are overwritten on arrival and never sent on."""

_ESCAPED_SLASHES = {
    EscapedSlashes.REJECT: HttpConnectionManager.REJECT_REQUEST,
    EscapedSlashes.REDIRECT: HttpConnectionManager.UNESCAPE_AND_REDIRECT,
    EscapedSlashes.KEEP: HttpConnectionManager.KEEP_UNCHANGED,
}

ACCESS_LOG = {
    "time": "%START_TIME%",
    "method": "%REQ(:METHOD)%",
    "scheme": "%REQ(:SCHEME)%",
    "host": "%REQ(:AUTHORITY)%",
    "path": "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%",
    "protocol": "%PROTOCOL%",
    "status": "%RESPONSE_CODE%",
    "details": "%RESPONSE_CODE_DETAILS%",
    "flags": "%RESPONSE_FLAGS%",
    "client": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
    "forwarded_for": "%REQ(X-FORWARDED-FOR)%",
    "user_agent": "%REQ(USER-AGENT)%",
    "request_id": "%REQ(X-REQUEST-ID)%",
    "received": "%BYTES_RECEIVED%",
    "sent": "%BYTES_SENT%",
    "milliseconds": "%DURATION%",
    "attempts": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
    "cause": "%ROUTE_NAME%",
    "cluster": "%UPSTREAM_CLUSTER_RAW%",
    "endpoint": "%UPSTREAM_HOST%",
    "tls": "%DOWNSTREAM_TLS_VERSION%",
    "sni": "%REQUESTED_SERVER_NAME%",
}
"""The fields of a line of the access log. ``cause`` is the object and field of the route that served the request."""


def connection_manager(route_configuration: str, scheme: Scheme, settings: Settings) -> Any:
    """Return the connection manager of a listener whose routes come by RDS under this name."""
    manager = HttpConnectionManager()
    manager.CopyFrom(_template(scheme, settings))
    manager.stat_prefix = route_configuration
    manager.rds.route_config_name = route_configuration
    return manager


@lru_cache(maxsize=4)
def _template(scheme: Scheme, settings: Settings) -> Any:
    manager = HttpConnectionManager(
        # The client's address is that of its connection, or what trusted proxies in front say; whatever else it
        # claims in x-forwarded-for is passed on and not believed (ingress.md 44).
        use_remote_address=BoolValue(value=True),
        xff_num_trusted_hops=settings.trusted_hops,
        generate_request_id=BoolValue(value=True),
        # Paths are compared after dot segments are removed, so that /a/../b cannot pass as /a (ingress.md 13).
        normalize_path=BoolValue(value=True),
        path_with_escaped_slashes_action=_ESCAPED_SLASHES[settings.escaped_slashes],
        strip_trailing_host_dot=True,  # `foo.com.` is foo.com (ingress.md 45)
        stream_idle_timeout=seconds(STREAM_IDLE_TIMEOUT),
        request_headers_timeout=seconds(30),  # a client that never ends its headers holds no connection for ever
    )
    manager.rds.config_source.ads.SetInParent()
    manager.rds.config_source.resource_api_version = 2  # V3
    manager.internal_address_config.SetInParent()  # nobody is internal: no client may set x-envoy-* headers
    manager.common_http_protocol_options.idle_timeout.CopyFrom(seconds(3600))
    # To many applications x_user is the same as x-user, to Envoy it is another one: nobody may say it (ingress.md 45).
    underscores = protocol_pb2.HttpProtocolOptions.DROP_HEADER
    manager.common_http_protocol_options.headers_with_underscores_action = underscores
    _bound_http2(manager.http2_protocol_options)
    add_filters(manager.http_filters)
    add_filters(manager.upgrade_configs.add(upgrade_type="websocket").filters, buffering=False)  # (ingress.md 42)
    if scheme is Scheme.HTTPS:
        _note_chain(manager)
    if settings.access_log:
        _log(manager)
    return manager


def _bound_http2(options: Any) -> None:
    """Bound what one client can make Envoy hold: Envoy's "configuring Envoy as an edge proxy"."""
    options.max_concurrent_streams.CopyFrom(UInt32Value(value=100))
    options.initial_stream_window_size.CopyFrom(UInt32Value(value=65_536))
    options.initial_connection_window_size.CopyFrom(UInt32Value(value=1_048_576))


def _note_chain(manager: Any) -> None:
    noted = header_mutation_pb2.HeaderMutation()
    for header, value in ((CHAIN_HEADER, "%FILTER_CHAIN_NAME%"), (SNI_HEADER, "%REQUESTED_SERVER_NAME%")):
        append = noted.mutations.add().append
        append.header.key, append.header.value = header, value
        append.append_action = base_pb2.HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD
    early = manager.early_header_mutation_extensions.add(name="envoy.http.early_header_mutation.header_mutation")
    pack(early.typed_config, noted)


def _log(manager: Any) -> None:
    log = file_pb2.FileAccessLog(path="/dev/stdout")
    log.log_format.json_format.update(ACCESS_LOG)
    entry = manager.access_log.add(name="envoy.access_loggers.file")
    pack(entry.typed_config, log)
