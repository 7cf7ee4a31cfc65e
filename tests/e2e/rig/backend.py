"""Backends for tests: they say their name, stream, echo WebSockets, and answer any status after any delay.

As a program it serves all backends of one JSON object, name -> [host, port], prints ``ready`` and ends with its
standard input. Paths:

``.../stream?seconds=N``  a line every 100 ms; the last one is ``end``
``.../ws``                a WebSocket that echoes
``.../status/NNN``        that status
``.../delay?seconds=N``   the name, late
anything else             the name
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from aiohttp import web

from tests.e2e.rig.processes import Child, python

STREAM_EVERY = 0.1
LAST_LINE = "end"
NAMES = ("blue", "green", "red", "grey")


class Backends:
    """Named backends, in one process of their own."""

    def __init__(self, addresses: Mapping[str, tuple[str, int]], log: Path) -> None:
        self._addresses = dict(addresses)
        self._child = Child(
            python("tests.e2e.rig.backend", json.dumps(self._addresses)),
            log,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        if self._child.read_line() != "ready":
            self._child.kill()
            raise RuntimeError(f"the backends did not start:\n{self._child.tail()}")

    def __getitem__(self, name: str) -> tuple[str, int]:
        """Return the address of a backend."""
        return self._addresses[name]

    def stop(self) -> None:
        """End the process."""
        self._child.stop()


def application(name: str) -> web.Application:
    """Return one backend."""

    async def say(_request: web.Request) -> web.Response:
        return web.Response(text=name)

    async def late(request: web.Request) -> web.Response:
        await asyncio.sleep(float(request.query["seconds"]))
        return web.Response(text=name)

    async def status(request: web.Request) -> web.Response:
        return web.Response(status=int(request.match_info["status"]), text=name)

    app = web.Application()
    app.router.add_get("/{before:.*}stream", _stream)
    app.router.add_get("/{before:.*}ws", _echo)
    app.router.add_get(r"/{before:.*}status/{status:\d{3}}", status)
    app.router.add_get("/{before:.*}delay", late)
    app.router.add_get("/{path:.*}", say)
    return app


async def _stream(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    for line in range(round(float(request.query["seconds"]) / STREAM_EVERY)):
        await response.write(f"{line}\n".encode())
        await asyncio.sleep(STREAM_EVERY)
    await response.write(f"{LAST_LINE}\n".encode())
    return response


async def _echo(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    async for message in socket:
        await socket.send_str(message.data)
    return socket


async def _main(addresses: Mapping[str, tuple[str, int]]) -> None:
    for name, (host, port) in addresses.items():
        runner = web.AppRunner(application(name), access_log=None)
        await runner.setup()
        await web.TCPSite(runner, host, port).start()
    print("ready", flush=True)  # noqa: T201 - this is how the test learns it
    await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_main(json.loads(sys.argv[1])))
