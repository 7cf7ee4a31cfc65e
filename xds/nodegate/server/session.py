"""One stream between the state machine and gRPC: reads requests, writes responses, sleeps in between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import structlog

from nodegate.server.clients import Connection
from nodegate.server.protocol.decode import decode_request
from nodegate.server.protocol.stream import Refusal
from nodegate.snapshot.publisher import Publisher
from nodegate.snapshot.type_urls import SHORT_NAME

log = structlog.get_logger()

Write = Callable[[bytes], Awaitable[None]]


class Session:
    """Runs one stream until the client or the server ends it."""

    def __init__(self, publisher: Publisher, connection: Connection, stopping: asyncio.Event) -> None:
        self._publisher = publisher
        self._connection = connection
        self._stream = connection.stream
        self._stopping = stopping
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

    async def _read(self, requests: AsyncIterator[bytes], wake: asyncio.Event) -> None:
        async for data in requests:
            refusal = self._stream.on_request(decode_request(self._stream.variant, data))
            if refusal is not None:
                self._report(refusal)
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
        log.warning(
            "A proxy rejected configuration; it keeps what it has.",
            node=node.id if node else "",
            type=SHORT_NAME.get(refusal.type_url, refusal.type_url),
            resources=list(refusal.names) or "not known yet",
            reason=refusal.text,
        )


async def _sleep(wake: asyncio.Event, deadline: float | None) -> None:
    """Wait for the wake-up, or until the deadline."""
    try:
        async with asyncio.timeout_at(deadline):
            await wake.wait()
    except TimeoutError:
        pass
