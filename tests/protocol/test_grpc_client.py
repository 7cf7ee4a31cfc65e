"""The xDS client inside gRPC resolves a service through our configuration: a third client beside Envoy and our own."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from nodegate.server import Clients, XdsServer
from nodegate.snapshot.publisher import Publisher
from tests.protocol import grpc_client
from tests.protocol.made import cluster, endpoints, put, routes, service_listener

SERVICE = "svc.test"
SOON = 20.0

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


@asynccontextmanager
async def backend(name: str) -> AsyncIterator[int]:
    """Serve a method that says who answers; give its port."""

    async def answer(_: bytes, __: Any) -> bytes:
        return name.encode()

    _, service, method = grpc_client.METHOD.split("/")
    handlers = {method: grpc.unary_unary_rpc_method_handler(answer)}
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield port
    finally:
        await server.stop(None)


@dataclass
class Caller:
    """A gRPC client in a process of its own."""

    process: asyncio.subprocess.Process

    async def call(self) -> str:
        """Return who answers a call."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(b"\n")
        line = await asyncio.wait_for(self.process.stdout.readline(), SOON)
        return line.decode().strip()

    async def is_answered_by(self, name: str) -> None:
        """Call until this one answers; nobody else than before and no error may come in between."""
        before = await self.call()
        async with asyncio.timeout(SOON):
            while (answer := await self.call()) != name:
                assert answer == before


@asynccontextmanager
async def caller(port: int, tmp_path: Path) -> AsyncIterator[Caller]:
    """Start a client that asks the server on this port."""
    bootstrap = tmp_path / "bootstrap.json"
    server = {
        "server_uri": f"127.0.0.1:{port}",
        "channel_creds": [{"type": "insecure"}],
        "server_features": ["xds_v3"],
    }
    bootstrap.write_text(json.dumps({"xds_servers": [server], "node": {"id": "grpc-client"}}))
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        grpc_client.__file__,
        f"xds:///{SERVICE}",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "GRPC_XDS_BOOTSTRAP": str(bootstrap)},
    )
    try:
        yield Caller(process)
    finally:
        process.kill()
        await process.wait()


async def test_a_grpc_client_is_led_and_led_elsewhere_and_survives_a_restart(tmp_path: Path) -> None:
    """It resolves, follows endpoints and routes without an error, and goes on alone (xds-protocol 24, 13, 46)."""
    async with AsyncExitStack() as stack:
        blue, green = [await stack.enter_async_context(backend(name)) for name in ("blue", "green")]
        publisher = Publisher()
        put(publisher, service_listener(SERVICE), routes("a"), cluster("a"), endpoints("a", blue))
        server = XdsServer(publisher, Clients(), "127.0.0.1:0")
        async with server.serving():
            client = await stack.enter_async_context(caller(server.port, tmp_path))
            assert await client.call() == "blue"
            put(publisher, endpoints("a", green))
            await client.is_answered_by("green")
            put(publisher, routes("b"), cluster("b"), endpoints("b", blue))
            await client.is_answered_by("blue")
        assert await client.call() == "blue"
        after = Publisher()
        # A call that is under way still needs the old cluster, which state of the world would delete at once.
        put(after, service_listener(SERVICE), routes("c"), cluster("b"), endpoints("b", blue))
        put(after, cluster("c"), endpoints("c", green))
        async with XdsServer(after, Clients(), f"127.0.0.1:{server.port}").serving():
            await client.is_answered_by("green")
