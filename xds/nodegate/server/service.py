"""The gRPC discovery services: raw bytes in, raw bytes out, one :class:`Session` per stream."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import grpc
import structlog

from nodegate.server.clients import Clients, Connection
from nodegate.server.complaints import Complaints
from nodegate.server.protocol.request import ClientNode, ProtocolError, Variant
from nodegate.server.protocol.stream import Refusal, Stream, StreamOptions
from nodegate.server.protocol.withdrawal import Withdrawals
from nodegate.server.security import host_of, may_have_secrets
from nodegate.server.services import SERVICES, Service
from nodegate.server.session import Session
from nodegate.snapshot.publisher import Publisher

log = structlog.get_logger(__name__)

_NOT_READY = "The control plane is not ready: it has not read all of its input yet, or it is stopping. Try again soon."


class DiscoveryServices:
    """Serves every discovery service, in both variants, from one publisher.

    ``insecure`` lets private keys go to any client (``--insecure-xds``). ``streams_per_host`` bounds how many streams
    one peer address may hold open; 0 means no bound. ``redirect_grace`` is how long, in seconds, a listener
    outlives its redirect where no agent says that it is gone.
    """

    def __init__(
        self,
        publisher: Publisher,
        clients: Clients,
        options: StreamOptions,
        *,
        insecure: bool = False,
        streams_per_host: int = 0,
        redirect_grace: float = 0.0,
    ) -> None:
        self._publisher = publisher
        self._clients = clients
        self._options = options
        self._insecure = insecure
        self._streams_per_host = streams_per_host
        self._streams: Counter[str] = Counter()
        self._complaints = Complaints()
        self._withdrawals = Withdrawals(redirect_grace, clients.redirects_on)
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """End every stream and accept no new one; clients reconnect, to this server or another."""
        self._stopping.set()
        self._publisher.wake()

    def handlers(self) -> tuple[grpc.GenericRpcHandler, ...]:
        """Return the handlers to register with a gRPC server."""
        return tuple(self._generic_handler(service) for service in SERVICES)

    def _generic_handler(self, service: Service) -> grpc.GenericRpcHandler:
        methods = {
            service.stream: self._stream_handler(service, Variant.SOTW),
            service.delta: self._stream_handler(service, Variant.DELTA),
        }
        if service.fetch:
            methods[service.fetch] = self._fetch_handler(service)
        return grpc.method_handlers_generic_handler(service.name, methods)

    def _stream_handler(self, service: Service, variant: Variant) -> grpc.RpcMethodHandler:
        async def behaviour(_requests: AsyncIterator[bytes], context: Any) -> None:
            await self._check(context)
            with self._counted(context.peer()) as allowed:
                if not allowed:
                    await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, self._too_many())
                await self._serve(service, variant, context)

        return grpc.stream_stream_rpc_method_handler(behaviour)

    def _fetch_handler(self, service: Service) -> grpc.RpcMethodHandler:
        """Answer a Fetch call: a stream of one request and its first response, empty when there is nothing to say."""

        async def behaviour(data: bytes, context: Any) -> bytes:
            await self._check(context)
            connection = Connection(0, Stream(Variant.SOTW, self._options), context.peer(), time.time())
            try:
                return self._session(service, connection, context).answer_once(data)
            except ProtocolError as error:
                await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
                raise

        return grpc.unary_unary_rpc_method_handler(behaviour)

    async def _serve(self, service: Service, variant: Variant, context: Any) -> None:
        stream = Stream(variant, self._options, self._withdrawals)
        with self._clients.connected(stream, context.peer(), time.time()) as connection:
            broken: BaseException | None = None
            try:
                await self._session(service, connection, context).run(context)
            except* ProtocolError as group:
                broken = _first(group)
        if broken is not None:
            log.warning("A client broke the protocol; its stream ends.", peer=context.peer(), reason=str(broken))
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(broken))
        if self._stopping.is_set():
            await context.abort(grpc.StatusCode.UNAVAILABLE, _NOT_READY)

    def _session(self, service: Service, connection: Connection, context: Any) -> Session:
        return Session(
            self._publisher,
            connection,
            self._stopping,
            type_url=service.type_url,
            trusts=self._trust(context),
            on_news=lambda refusal: self._spread(connection, refusal),
            on_redirects=self._wake_departures,
            on_answer=self._clients.on_answer,
        )

    def _spread(self, connection: Connection, refusal: Refusal | None) -> None:
        """Tell the log and the registry that a client connected, or what it rejects."""
        if refusal is not None and connection.stream.node is not None:
            self._complaints.report(connection.stream.node, refusal)
        self._clients.on_news()

    def _wake_departures(self) -> None:
        """Let streams look again at what leaves: an agent has said something of its redirects."""
        if self._withdrawals.pending:
            self._publisher.wake()

    async def _check(self, context: Any) -> None:
        """End the call unless this server may answer: an empty answer would wipe a reconnecting proxy (47)."""
        if self._stopping.is_set() or self._publisher.target is None:
            await context.abort(grpc.StatusCode.UNAVAILABLE, _NOT_READY)

    def _trust(self, context: Any) -> Callable[[ClientNode], bool]:
        def trusts(node: ClientNode) -> bool:
            return self._insecure or may_have_secrets(context.peer(), context.auth_context(), node.facts, node.id)

        return trusts

    @contextmanager
    def _counted(self, peer: str) -> Iterator[bool]:
        host = host_of(peer)
        self._streams[host] += 1
        try:
            yield not self._streams_per_host or self._streams[host] <= self._streams_per_host
        finally:
            self._streams[host] -= 1
            if not self._streams[host]:
                del self._streams[host]

    def _too_many(self) -> str:
        return (
            f"This host holds {self._streams_per_host} streams already, which is the most that one may. "
            "Close some, or raise --xds-streams-per-host."
        )


def _first(group: BaseExceptionGroup[Any]) -> BaseException:
    """Return the first plain exception of a group."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
