"""The xDS endpoint as an operator set it."""

from __future__ import annotations

from dataclasses import replace

from nodegate.server import Clients, ServerOptions, TlsFiles, XdsServer
from nodegate.server.protocol.stream import StreamOptions
from nodegate.settings import Address, ServeSettings, UnixAddress
from nodegate.snapshot.publisher import Publisher


def new_server(settings: ServeSettings, publisher: Publisher, clients: Clients) -> XdsServer:
    """Return the endpoint; it does not listen yet."""
    options = _server_options(settings)
    return XdsServer(publisher, clients, address=str(settings.xds_address), options=options)


def real_address(settings: ServeSettings, server: XdsServer) -> Address:
    """Return where an endpoint listens, also where port 0 was asked for."""
    if isinstance(settings.xds_address, UnixAddress):
        return settings.xds_address
    return replace(settings.xds_address, port=server.port)


def _server_options(settings: ServeSettings) -> ServerOptions:
    security, tls = settings.xds_security, None
    if security.certificate is not None and security.key is not None:
        tls = TlsFiles(security.certificate, security.key, security.client_ca)
    return ServerOptions(
        tls=tls,
        insecure=security.insecure,
        reflection=security.reflection,
        streams_per_host=security.streams_per_host,
        redirect_grace=settings.redirect_grace,
        stream=StreamOptions(ttl=settings.xds_ttl or None),
    )
