"""A server on a real socket with a publisher to feed it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

import pytest

from nodegate.server import Clients, ServerOptions, XdsServer
from nodegate.snapshot.publisher import Publisher
from nodegate.snapshot.target import Target


@dataclass(frozen=True, slots=True)
class Running:
    """A server that runs."""

    server: XdsServer
    publisher: Publisher
    clients: Clients
    address: str


Serve = Callable[..., AbstractAsyncContextManager[Running]]


@pytest.fixture
def serve() -> Serve:
    """Give a function that runs a server with a target and options for as long as its context lasts."""

    @asynccontextmanager
    async def run(
        target: Target | None, options: ServerOptions | None = None, address: str = "127.0.0.1:0"
    ) -> AsyncIterator[Running]:
        publisher, clients = Publisher(), Clients()
        if target is not None:
            publisher.publish(target)
        server = XdsServer(publisher, clients, address, options=options or ServerOptions(drain_seconds=0.1))
        async with server.serving():
            where = f"127.0.0.1:{server.port}" if server.port else address
            yield Running(server, publisher, clients, where)

    return run
