"""Listeners: an address, and per certificate a filter chain; routes by RDS and certificates by SDS.

Nothing here changes when a route, a certificate's content or an endpoint does, and when hosts with TLS come and go
only ``filter_chains`` differ, which Envoy takes in place (DESIGN 3.5).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

from envoy.config.core.v3 import socket_option_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.extensions.filters.listener.proxy_protocol.v3 import proxy_protocol_pb2
from envoy.extensions.filters.listener.tls_inspector.v3 import tls_inspector_pb2
from envoy.extensions.transport_sockets.tls.v3 import common_pb2, tls_pb2

from nodegate.model.refs import Ref
from nodegate.snapshot.facts import NodeFacts
from nodegate.snapshot.resource import Entry, Faceted, Resource, content_hash, field_bytes
from nodegate.snapshot.type_urls import LISTENER, ROUTE, SECRET
from nodegate.translate.connection_manager import connection_manager
from nodegate.translate.names import Scheme, listener_name
from nodegate.translate.packing import around_blanks, blank, pack, serialised
from nodegate.translate.settings import Families, Settings

LISTENER_MARK = 0xB00
"""Firewall mark of the listeners' sockets, so that their answers to redirected clients find the way back."""

_SOL_SOCKET, _SO_MARK = 1, 36  # Linux, include/uapi/asm-generic/socket.h
_BUFFER_LIMIT = 32 * 1024  # Envoy's "configuring Envoy as an edge proxy"
_FILTER_CHAINS_FIELD = 3  # Listener.filter_chains
_ADDRESSES = {Families.IPV4: ("0.0.0.0",), Families.IPV6: ("::",), Families.DUAL: ("0.0.0.0", "::")}  # noqa: S104


SECRET_SECONDS = 5
"""How long a listener waits for a private key that is not there before it serves its other hosts.

An Envoy that starts serves nothing meanwhile; its own patience would be 15 seconds (xds-protocol 51: about a Secret
that does not exist nothing is said).
"""


@dataclass(frozen=True, slots=True)
class Chain:
    """One filter chain of an HTTPS listener. ``secret`` is the name of an SDS resource; no hosts means all others."""

    name: str
    hosts: tuple[str, ...]
    secret: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where a listener is: its name without port, its port, and whether clients come to it by a redirect."""

    base: str
    port: int
    scheme: Scheme
    redirected: bool = True


def listener(
    place: Place, settings: Settings, chains: Iterable[Chain], made: dict[Chain, bytes], causes: tuple[Ref, ...]
) -> Entry:
    """Return the listener ``base@port``; ``chains`` are those of HTTPS, and are not looked at for plain HTTP.

    ``made`` holds the filter chains made for this listener before; it is replaced by those of now.

    A redirected one depends on one fact: transparent sockets and socket marks take NET_ADMIN, so a node without it
    gets neither.
    """
    secrets: set[str] = set()
    secure: tuple[bytes, ...] = ()
    if place.scheme is Scheme.HTTPS:
        now = {chain: made.get(chain) or _secure_chain(chain, place, settings) for chain in chains}
        made.clear()
        made.update(now)
        secrets = {chain.secret for chain in now}
        secure = tuple(now.values())
    refs = ((ROUTE, place.base), *((SECRET, name) for name in sorted(secrets)))
    name, parts = listener_name(place.base, place.port), _parts(place, settings, secure)
    if not place.redirected:
        return Resource(LISTENER, name, b"".join(parts), refs=refs, causes=causes)
    # The bytes are made when they are asked for and not kept: 10,000 of them are 14 MB beside what is framed.
    make = partial(_for_client, place, settings, secure)
    version = content_hash(*parts, _TRANSPARENT)
    return Faceted(LISTENER, name, version, _is_transparent, make, refs=refs, causes=causes)


def _parts(place: Place, settings: Settings, secure: tuple[bytes, ...]) -> tuple[bytes, ...]:
    """Return the bytes of a listener in parts; ``secure`` are the filter chains of HTTPS."""
    chains = secure if place.scheme is Scheme.HTTPS else (_plain_chain(place, settings),)
    return (_head(place, settings), *chains, _tail(place, settings))


def _for_client(place: Place, settings: Settings, secure: tuple[bytes, ...], transparent: Hashable) -> bytes:
    return b"".join((*_parts(place, settings, secure), _TRANSPARENT if transparent is True else b""))


def _is_transparent(facts: NodeFacts) -> bool:
    return facts.transparent


def _head(place: Place, settings: Settings) -> bytes:
    """Return the fields before ``filter_chains``."""
    message = listener_pb2.Listener(name=listener_name(place.base, place.port))
    _bind(message.address, _ADDRESSES[settings.families][0], place.port)
    return serialised(message)


def _tail(place: Place, settings: Settings) -> bytes:
    """Return the fields after ``filter_chains``."""
    message = listener_pb2.Listener(stat_prefix=place.base)
    message.per_connection_buffer_limit_bytes.value = _BUFFER_LIMIT
    if settings.proxy_protocol:
        header = message.listener_filters.add(name="envoy.filters.listener.proxy_protocol")
        pack(header.typed_config, proxy_protocol_pb2.ProxyProtocol())
    if place.scheme is Scheme.HTTPS:
        inspector = message.listener_filters.add(name="envoy.filters.listener.tls_inspector")
        pack(inspector.typed_config, tls_inspector_pb2.TlsInspector())
    for address in _ADDRESSES[settings.families][1:]:
        _bind(message.additional_addresses.add().address, address, place.port)
    return serialised(message)


def _bind(address: Any, ip: str, port: int) -> None:
    address.socket_address.address = ip
    address.socket_address.port_value = port


def _plain_chain(place: Place, settings: Settings) -> bytes:
    return place.base.encode().join(_around_base(len(place.base.encode()), settings))


@lru_cache(maxsize=256)
def _around_base(size: int, settings: Settings) -> tuple[bytes, ...]:
    """Return the filter chain of plain HTTP, as an element of ``filter_chains``, around the names of this size in it.

    A chain of its own for each of 10,000 listeners took 45 ms in place of 4.
    """
    message = listener_pb2.Listener()
    _add_http(message.filter_chains.add(), blank(size), Scheme.HTTP, settings)
    return around_blanks(message, size)


def _secure_chain(chain: Chain, place: Place, settings: Settings) -> bytes:
    """Return a filter chain as an element of ``filter_chains``. Only TLS connections match it (ingress.md 34)."""
    message = listener_pb2.Listener().filter_chains.add(name=chain.name)
    message.filter_chain_match.transport_protocol = "tls"
    message.filter_chain_match.server_names.extend(chain.hosts)
    _add_http(message, place.base, place.scheme, settings)
    context = tls_pb2.DownstreamTlsContext()
    context.common_tls_context.alpn_protocols.extend(("h2", "http/1.1"))
    context.common_tls_context.tls_params.tls_minimum_protocol_version = common_pb2.TlsParameters.TLSv1_2
    secret = context.common_tls_context.tls_certificate_sds_secret_configs.add(name=chain.secret)
    secret.sds_config.ads.SetInParent()
    secret.sds_config.resource_api_version = 2  # V3
    secret.sds_config.initial_fetch_timeout.FromSeconds(SECRET_SECONDS)
    message.transport_socket.name = "envoy.transport_sockets.tls"
    pack(message.transport_socket.typed_config, context)
    return field_bytes(_FILTER_CHAINS_FIELD, serialised(message))


def _add_http(chain: Any, base: str, scheme: Scheme, settings: Settings) -> None:
    http = chain.filters.add(name="envoy.filters.network.http_connection_manager")
    pack(http.typed_config, connection_manager(base, scheme, settings))


def _transparent() -> bytes:
    """Return the fields that make a listener transparent: appended to its bytes, they are part of the message."""
    message = listener_pb2.Listener()
    message.transparent.value = True
    message.socket_options.add(
        description="mark of ingress listeners",
        level=_SOL_SOCKET,
        name=_SO_MARK,
        int_value=LISTENER_MARK,
        state=socket_option_pb2.SocketOption.STATE_PREBIND,
    )
    return serialised(message)


_TRANSPARENT = _transparent()
