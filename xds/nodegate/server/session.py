"""One stream between the state machine and gRPC: reads requests, writes responses, sleeps in between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace

import structlog

from nodegate.server.clients import Connection
from nodegate.server.protocol.decode import decode_request
from nodegate.server.protocol.postponement import POSTPONED_BY_NACK
from nodegate.server.protocol.request import ClientNode, ProtocolError, Request
from nodegate.server.protocol.stream import Refusal
from nodegate.snapshot.publisher import Publisher
from nodegate.snapshot.type_urls import REDIRECT, SHORT_NAME

log = structlog.get_logger(__name__)

Write = Callable[[bytes], Awaitable[None]]


class Session:
    """Runs one stream until the client or the server ends it.

    ``type_url`` is the one type that a single-type service serves, empty for the aggregated service. ``trusts`` says
    whether a client may be sent private keys; it is asked once, when the client has said who it is. ``on_news`` is
    called then, and whenever the client rejects something; ``on_redirects`` whenever an agent asks for redirects or
    answers; ``on_answer`` after every request.
    """

    def __init__(
        self,
        publisher: Publisher,
        connection: Connection,
        stopping: asyncio.Event,
        *,
        type_url: str = "",
        trusts: Callable[[ClientNode], bool],
        on_news: Callable[[], None] = lambda: None,
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

    async def run(self, requests: AsyncIterator[bytes], write: Write) -> None:
        """Serve the stream; raises ProtocolError (in an exception group) when the client breaks the protocol."""
        with self._publisher.watch() as wake:
            async with asyncio.TaskGroup() as tasks:
                reader = tasks.create_task(self._read(requests, wake))
                stopper = tasks.create_task(self._stop(wake))
                try:
                    await self._write(wake, write)
                finally:
                    reader.cancel()
                    stopper.cancel()

    def take(self, data: bytes) -> None:
        """Take in the bytes of one request; raises ProtocolError when the client breaks the protocol."""
        request = self._typed(decode_request(self._stream.variant, data))
        first = self._stream.node is None
        refusal = self._stream.on_request(request)
        if first and self._stream.node is not None:
            self._greet(self._stream.node)
            self._on_news()
        if refusal is not None:
            self._report(refusal)
            self._on_news()
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
            wake.set()
        self._over = True
        wake.set()

    async def _stop(self, wake: asyncio.Event) -> None:
        await self._stopping.wait()
        self._over = True
        wake.set()

    async def _write(self, wake: asyncio.Event, write: Write) -> None:
        clock = asyncio.get_running_loop().time
        while not self._over:
            wake.clear()
            if self._publisher.target is not None:
                self._stream.on_target(self._publisher.target)
            while (response := self._stream.next_response(clock())) is not None:
                await write(response.data)
            await _sleep(wake, self._stream.deadline())

    def _report(self, refusal: Refusal) -> None:
        node = self._stream.node
        if refusal.type_url in POSTPONED_BY_NACK:
            first, *more = refusal.text.splitlines()
            log.info("An agent has not installed all yet.", node=node.id if node else "", reason=first, more=len(more))
            return
        log.warning(
            "A proxy rejected configuration; it keeps what it has.",
            node=node.id if node else "",
            type=SHORT_NAME.get(refusal.type_url, refusal.type_url),
            resources=list(refusal.names) or "not known yet",
            reason=refusal.text,
        )


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
