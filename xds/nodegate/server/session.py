"""One stream between the state machine and gRPC: reads requests, writes responses, sleeps in between."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import grpc
import structlog
from msgspec import structs

from nodegate.server.clients import Connection
from nodegate.server.protocol.decode import decode_request
from nodegate.server.protocol.request import ClientNode, ProtocolError, Request
from nodegate.server.protocol.response import Response
from nodegate.server.protocol.stream import Refusal
from nodegate.snapshot.publisher import Publisher
from nodegate.snapshot.type_urls import REDIRECT

log = structlog.get_logger(__name__)


class Session:
    """Runs one stream until the client or the server ends it.

    ``type_url`` is the one type that a single-type service serves, empty for the aggregated service. ``trusts`` says
    whether a client may be sent private keys; it is asked once, when the client has said who it is. ``on_news`` is
    called then, with None, and with whatever the client rejects; ``on_redirects`` whenever an agent asks for redirects
    or answers; ``on_answer`` after every request.
    """

    def __init__(
        self,
        publisher: Publisher,
        connection: Connection,
        stopping: asyncio.Event,
        *,
        type_url: str = "",
        trusts: Callable[[ClientNode], bool],
        on_news: Callable[[Refusal | None], None] = lambda _refusal: None,
        on_redirects: Callable[[], None] = lambda: None,
        on_answer: Callable[[], None] = lambda: None,
    ) -> None:
        self._publisher = publisher
        self._connection = connection
        self._stream = connection.stream
        self._stopping = stopping
        self._type_url = type_url
        self._trusts = trusts
        self._on_news = on_news
        self._on_redirects = on_redirects
        self._on_answer = on_answer
        self._over = False
        self._awake = True
        self._sleeper: asyncio.Future[None] | None = None
        self._until: float | None = None
        self._ready: Response | None = None

    async def run(self, context: Any) -> None:
        """Serve a gRPC call; raises ProtocolError (in an exception group) when the client breaks the protocol.

        It ends with the requests, and when the publisher wakes its watchers after ``stopping`` was set. To read from
        the context costs less than gRPC's own iterator of requests.
        """
        with self._publisher.calling(self._wake):
            async with asyncio.TaskGroup() as tasks:
                reader = tasks.create_task(self._read(context))
                try:
                    await self._write(context)
                finally:
                    reader.cancel()

    def take(self, data: bytes) -> None:
        """Take in the bytes of one request; raises ProtocolError when the client breaks the protocol."""
        request = self._typed(decode_request(self._stream.variant, data))
        first = self._stream.node is None
        refusal = self._stream.on_request(request)
        if first and self._stream.node is not None:
            self._greet(self._stream.node)
            self._on_news(None)
        if refusal is not None:
            self._on_news(refusal)
        if request.type_url == REDIRECT:
            self._on_redirects()
        self._on_answer()

    def answer_once(self, data: bytes) -> bytes:
        """Return the first response to a single request; no bytes, a valid empty message, when there is none."""
        self.take(data)
        if self._publisher.target is None:
            return b""
        self._stream.on_target(self._publisher.target)
        response = self._stream.next_response(0.0)
        return response.data if response else b""

    def _typed(self, request: Request) -> Request:
        """Check the type of a request on a single-type service, where it may be left out."""
        if not self._type_url or request.type_url == self._type_url:
            return request
        if request.type_url:
            message = f"This service serves {self._type_url} only; ask for {request.type_url} on the aggregated stream."
            raise ProtocolError(message)
        return structs.replace(request, type_url=self._type_url)

    def _greet(self, node: ClientNode) -> None:
        secrets = self._trusts(node)
        self._stream.options = replace(self._stream.options, secrets=secrets)
        log.info(
            "A client connected.",
            node=node.id,
            peer=self._connection.peer,
            variant=self._stream.variant.value,
            client=node.user_agent,
            secrets=secrets,
        )

    async def _read(self, context: Any) -> None:
        while (data := await context.read()) is not grpc.aio.EOF:
            self.take(data)
            if self._sleeper is None or self._has_to_say():
                self._wake()
        self._over = True
        self._wake()

    def _has_to_say(self) -> bool:
        """Return whether a request gives the sleeping writer anything to do: its next response, or another alarm.

        After most acknowledgements there is nothing. To find that out here saves a switch between tasks for each of
        them: a tenth of what a change costs a stream (docs/performance.md).
        """
        if self._ready is None:
            self._ready = self._next()
        return self._ready is not None or self._stream.deadline() != self._until

    def _next(self) -> Response | None:
        """Return the next response: what the reader found, or what is to be said now."""
        ready, self._ready = self._ready, None
        if ready is not None or self._publisher.target is None:
            return ready
        self._stream.on_target(self._publisher.target)
        return self._stream.next_response(asyncio.get_running_loop().time())

    async def _write(self, context: Any) -> None:
        while not (self._over or self._stopping.is_set()):
            self._awake = False
            while (response := self._next()) is not None:
                await context.write(response.data)
            self._until = self._stream.deadline()
            if not self._awake:
                await self._sleep(self._until)

    async def _sleep(self, until: float | None) -> None:
        """Wait to be woken, or until this time of the loop's clock.

        An ``asyncio.Event`` would be as good; with 1,000 streams to wake, its bookkeeping costs more than the waiting.
        """
        loop = asyncio.get_running_loop()
        self._sleeper = loop.create_future()
        alarm = loop.call_at(until, self._wake) if until is not None else None
        try:
            await self._sleeper
        finally:
            self._sleeper = None
            if alarm is not None:
                alarm.cancel()

    def _wake(self) -> None:
        """Let the writer look again."""
        self._awake = True
        if self._sleeper is not None and not self._sleeper.done():
            self._sleeper.set_result(None)
