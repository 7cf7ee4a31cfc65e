"""The xDS endpoint: opens the socket, serves, and drains."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import grpc.aio
from envoy.service.status.v3 import csds_pb2, csds_pb2_grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from nodegate.errors import TransportError
from nodegate.server.client_status import ClientStatusService
from nodegate.server.clients import Clients
from nodegate.server.protocol.stream import StreamOptions
from nodegate.server.security import ReloadingCredentials, TlsFiles
from nodegate.server.service import DiscoveryServices
from nodegate.server.services import SERVICES
from nodegate.snapshot.publisher import Publisher


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """How the endpoint is opened.

    ``tls`` secures a TCP address; a Unix socket needs none. ``insecure`` lets private keys go to any client.
    ``streams_per_host`` bounds the open streams of one peer address, 0 means no bound. ``max_message_bytes`` bounds a
    request: a state-of-the-world request names every resource, and gRPC's own 4 MiB end at some 50,000 names.
    ``drain_seconds`` bounds how long open streams may take to end. ``keepalive_seconds`` is how long a connection may
    be silent before it is pinged; one that does not answer within a third of that is dead. ``redirect_grace`` is how
    long, in seconds, a listener outlives its redirect where no agent says that it is gone.
    """

    tls: TlsFiles | None = None
    insecure: bool = False
    streams_per_host: int = 0
    max_message_bytes: int = 64 * 1024 * 1024
    drain_seconds: float = 5.0
    keepalive_seconds: float = 30.0
    reflection: bool = False
    redirect_grace: float = 10.0
    stream: StreamOptions = field(default_factory=StreamOptions)

    def channel(self) -> tuple[tuple[str, int], ...]:
        """Return these options in gRPC's words."""
        return (
            ("grpc.keepalive_time_ms", int(self.keepalive_seconds * 1000)),
            ("grpc.keepalive_timeout_ms", int(self.keepalive_seconds * 1000 / 3)),
            # Without it a ping may stay unanswered for a minute, whatever the line before says (seen with 1.85).
            ("grpc.http2.ping_timeout_ms", int(self.keepalive_seconds * 1000 / 3)),
            ("grpc.keepalive_permit_without_calls", 1),
            ("grpc.http2.max_pings_without_data", 0),
            ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
            ("grpc.max_receive_message_length", self.max_message_bytes),
            ("grpc.max_send_message_length", -1),
            ("grpc.so_reuseport", 0),
        )


class XdsServer:
    """All xDS services on one address, ``HOST:PORT`` or ``unix:PATH``, with health, CSDS and reflection if wanted."""

    def __init__(
        self, publisher: Publisher, clients: Clients, address: str, *, options: ServerOptions | None = None
    ) -> None:
        self._options = options or ServerOptions()
        self._publisher = publisher
        self._clients = clients
        self._address = address
        self._health = health.aio.HealthServicer()
        self.port = 0
        """The TCP port that is open, or 0 for a Unix socket."""

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Serve for as long as the context lasts, then drain: no new streams, and the open ones end within a bound.

        Raises TransportError when the address cannot be opened or secured as asked.
        """
        options = self._options
        discovery = DiscoveryServices(
            self._publisher,
            self._clients,
            options.stream,
            insecure=options.insecure,
            streams_per_host=options.streams_per_host,
            redirect_grace=options.redirect_grace,
        )
        server = grpc.aio.server(options=options.channel())
        server.add_generic_rpc_handlers(discovery.handlers())
        csds_pb2_grpc.add_ClientStatusDiscoveryServiceServicer_to_server(
            ClientStatusService(self._publisher, self._clients), server
        )
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        if options.reflection:  # its descriptors take memory, and few ask for them
            from nodegate.server.reflection import enable_reflection  # noqa: PLC0415

            enable_reflection(server)
        self.port = self._open(server)
        await server.start()
        await self._set_health(health_pb2.HealthCheckResponse.SERVING)
        try:
            yield
        finally:
            await self._set_health(health_pb2.HealthCheckResponse.NOT_SERVING)
            discovery.stop()
            await server.stop(options.drain_seconds)

    async def _set_health(self, status: int) -> None:
        names = ["", *(service.name for service in SERVICES)]
        names.append(csds_pb2.DESCRIPTOR.services_by_name["ClientStatusDiscoveryService"].full_name)
        for name in names:
            await self._health.set(name, status)

    def _open(self, server: grpc.aio.Server) -> int:
        tls = self._options.tls
        if self._address.startswith("unix:"):
            return self._open_unix(server, Path(self._address.removeprefix("unix:")))
        try:
            if tls is None:
                return int(server.add_insecure_port(self._address))
            return int(server.add_secure_port(self._address, ReloadingCredentials(tls).credentials()))
        except RuntimeError as error:
            raise TransportError(self._cannot_open(str(error))) from error

    def _open_unix(self, server: grpc.aio.Server, path: Path) -> int:
        """Open a Unix socket that only this user and group may use."""
        if path.is_socket():
            path.unlink()  # left by a predecessor that was killed
        mask = os.umask(0o117)
        try:
            server.add_insecure_port(self._address)
        except RuntimeError as error:
            raise TransportError(self._cannot_open(str(error))) from error
        finally:
            os.umask(mask)
        return 0

    def _cannot_open(self, reason: str) -> str:
        return (
            f"The xDS address {self._address} cannot be opened: {reason}. "
            "Check that it is free and belongs to this machine, or choose another one with --xds-address."
        )
