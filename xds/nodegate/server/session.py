"""One stream between the state machine and gRPC: reads requests, writes responses, sleeps in between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace

import structlog

from nodegate.server.clients import Connection
from nodegate.server.protocol.decode import decode_request
from nodegate.server.protocol.request import ClientNode, ProtocolError, Request
from nodegate.server.protocol.response import Response
from nodegate.server.protocol.stream import Refusal
from nodegate.snapshot.publisher import Publisher
from nodegate.snapshot.type_urls import REDIRECT

log = structlog.get_logger(__name__)

Write = Callable[[bytes], Awaitable[None]]


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
        self._asleep = False
        self._until: float | None = None
        self._ready: Response | None = None

    async def run(self, requests: AsyncIterator[bytes], write: Write) -> None:
        """Serve the stream; raises ProtocolError (in an exception group) when the client breaks the protocol.

        It ends with the requests, and when the publisher wakes its watchers after ``stopping`` was set.
        """
        with self._publisher.watch() as wake:
            async with asyncio.TaskGroup() as tasks:
                reader = tasks.create_task(self._read(requests, wake))
                try:
                    await self._write(wake, write)
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
        return replace(request, type_url=self._type_url)

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

    async def _read(self, requests: AsyncIterator[bytes], wake: asyncio.Event) -> None:
        async for data in requests:
            self.take(data)
            if not self._asleep or self._has_to_say():
                wake.set()
        self._over = True
        wake.set()

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

    async def _write(self, wake: asyncio.Event, write: Write) -> None:
        while not (self._over or self._stopping.is_set()):
            wake.clear()
            while (response := self._next()) is not None:
                await write(response.data)
            self._until, self._asleep = self._stream.deadline(), True
            await _sleep(wake, self._until)
            self._asleep = False


async def _sleep(wake: asyncio.Event, deadline: float | None) -> None:
    """Wait for the wake-up, or until the deadline."""
    if deadline is None:
        await wake.wait()
        return
    try:
        async with asyncio.timeout_at(deadline):
            await wake.wait()
    except TimeoutError:
        pass
