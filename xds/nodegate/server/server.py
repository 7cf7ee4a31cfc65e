"""The xDS endpoint: opens the socket, serves, and drains."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc.aio

from nodegate.errors import TransportError
from nodegate.server.clients import Clients
from nodegate.server.protocol.stream import StreamOptions
from nodegate.server.service import DiscoveryService
from nodegate.snapshot.publisher import Publisher

_CHANNEL_OPTIONS = (
    # A dead client is noticed within 40 s; clients may ping as often as every 5 s, also while idle.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    # A state-of-the-world request names every resource; the default of 4 MiB ends at some 50,000 of them.
    ("grpc.max_receive_message_length", 64 * 1024 * 1024),
    ("grpc.max_send_message_length", -1),
    ("grpc.so_reuseport", 0),
)


class XdsServer:
    """An ADS server on one address, ``HOST:PORT`` or ``unix:PATH``."""

    def __init__(
        self,
        publisher: Publisher,
        clients: Clients,
        address: str,
        *,
        options: StreamOptions | None = None,
        drain_seconds: float = 5.0,
    ) -> None:
        self._service = DiscoveryService(publisher, clients, options or StreamOptions())
        self._address = address
        self._drain_seconds = drain_seconds
        self.port = 0
        """The TCP port that is open, or 0 for a Unix socket."""

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Serve for as long as the context lasts, then end all streams within ``drain_seconds``.

        Raises TransportError when the address cannot be opened.
        """
        server = grpc.aio.server(options=_CHANNEL_OPTIONS)
        server.add_generic_rpc_handlers(self._service.handlers())
        self.port = self._open(server)
        await server.start()
        try:
            yield
        finally:
            self._service.stop()
            await server.stop(self._drain_seconds)

    def _open(self, server: grpc.aio.Server) -> int:
        unix = self._address.removeprefix("unix:") if self._address.startswith("unix:") else ""
        if unix:
            Path(unix).unlink(missing_ok=True)  # left by a killed predecessor
        try:
            port = server.add_insecure_port(self._address)
        except RuntimeError as error:
            message = (
                f"The xDS address {self._address} cannot be opened: {error}. Is another server using it? "
                "Choose another one with --xds-address."
            )
            raise TransportError(message) from error
        return 0 if unix else int(port)
