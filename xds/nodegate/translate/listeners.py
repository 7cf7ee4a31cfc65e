"""Listeners: a port of their own, transparent where the node allows it, routes by RDS."""

from __future__ import annotations

from collections.abc import Hashable

from envoy.config.core.v3 import socket_option_pb2
from envoy.config.listener.v3 import listener_pb2

from nodegate.model.refs import Ref
from nodegate.snapshot.facts import NodeFacts
from nodegate.snapshot.resource import Faceted, Key, content_hash
from nodegate.snapshot.type_urls import LISTENER, ROUTE
from nodegate.translate.connection_manager import connection_manager
from nodegate.translate.names import listener_name
from nodegate.translate.packing import pack, serialised

LISTENER_MARK = 0xB00
"""Firewall mark of the listeners' sockets, so that their answers to redirected clients find the way back."""

_SOL_SOCKET, _SO_MARK = 1, 36  # Linux, include/uapi/asm-generic/socket.h
_BUFFER_LIMIT = 32 * 1024  # Envoy's "configuring Envoy as an edge proxy"


def listener(base: str, port: int, causes: tuple[Ref, ...]) -> Faceted:
    """Return the plain HTTP listener ``base@port``.

    It depends on one fact: transparent sockets and socket marks take NET_ADMIN, so a node without it gets neither.
    """
    message = listener_pb2.Listener(name=listener_name(base, port), stat_prefix=base)
    message.address.socket_address.address = "0.0.0.0"  # noqa: S104  # clients' connections arrive by redirect
    message.address.socket_address.port_value = port
    message.per_connection_buffer_limit_bytes.value = _BUFFER_LIMIT
    http = message.filter_chains.add().filters.add(name="envoy.filters.network.http_connection_manager")
    pack(http.typed_config, connection_manager(base))
    return _faceted(message, ((ROUTE, base),), causes)


def _faceted(message: listener_pb2.Listener, refs: tuple[Key, ...], causes: tuple[Ref, ...]) -> Faceted:
    opaque = serialised(message)

    def make(transparent: Hashable) -> bytes:
        return _transparent(opaque) if transparent is True else opaque

    version = content_hash(b"transparent by fact", opaque)
    return Faceted(LISTENER, message.name, version, _is_transparent, make, refs=refs, causes=causes)


def _is_transparent(facts: NodeFacts) -> bool:
    return facts.transparent


def _transparent(opaque: bytes) -> bytes:
    message = listener_pb2.Listener.FromString(opaque)
    message.transparent.value = True
    message.socket_options.add(
        description="mark of ingress listeners",
        level=_SOL_SOCKET,
        name=_SO_MARK,
        int_value=LISTENER_MARK,
        state=socket_option_pb2.SocketOption.STATE_PREBIND,
    )
    return serialised(message)
