"""The gRPC services: raw bytes in, raw bytes out, one :class:`Session` per stream."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc

from nodegate.server.clients import Clients
from nodegate.server.protocol.request import ProtocolError, Variant
from nodegate.server.protocol.stream import Stream, StreamOptions
from nodegate.server.session import Session
from nodegate.snapshot.publisher import Publisher

AGGREGATED = "envoy.service.discovery.v3.AggregatedDiscoveryService"

Behaviour = Callable[[AsyncIterator[bytes], Any], Awaitable[None]]


class DiscoveryService:
    """Serves ADS in both variants from one publisher."""

    def __init__(self, publisher: Publisher, clients: Clients, options: StreamOptions) -> None:
        self._publisher = publisher
        self._clients = clients
        self._options = options
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """End every stream and accept no new one; clients reconnect, to this server or another."""
        self._stopping.set()

    def handlers(self) -> tuple[grpc.GenericRpcHandler, ...]:
        """Return the handlers to register with a gRPC server."""
        methods = {
            "StreamAggregatedResources": self._handler(Variant.SOTW),
            "DeltaAggregatedResources": self._handler(Variant.DELTA),
        }
        return (grpc.method_handlers_generic_handler(AGGREGATED, methods),)

    def _handler(self, variant: Variant) -> grpc.RpcMethodHandler:
        async def behaviour(requests: AsyncIterator[bytes], context: Any) -> None:
            await self._serve(variant, requests, context)

        return grpc.stream_stream_rpc_method_handler(behaviour)

    async def _serve(self, variant: Variant, requests: AsyncIterator[bytes], context: Any) -> None:
        if self._stopping.is_set() or self._publisher.target is None:
            # An empty answer would wipe a reconnecting proxy (47).
            await context.abort(grpc.StatusCode.UNAVAILABLE, "The control plane is not ready yet; try again soon.")
        stream = Stream(variant, self._options)
        with self._clients.connected(stream, context.peer(), time.time()) as connection:
            session = Session(self._publisher, connection, self._stopping)
            try:
                await session.run(requests, context.write)
            except* ProtocolError as group:
                await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(_first(group)))


def _first(group: BaseExceptionGroup[Any]) -> BaseException:
    """Return the first plain exception of a group."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
