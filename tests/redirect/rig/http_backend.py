"""A pod's program: ``python -m tests.redirect.rig.http_backend PORT NAME`` serves what the backends of tests/e2e do."""

from __future__ import annotations

import asyncio
import sys

from aiohttp import web

from tests.e2e.rig.backend import application


async def main(port: int, name: str) -> None:
    """Serve on every address of both families until the process ends."""
    runner = web.AppRunner(application(name), access_log=None)
    await runner.setup()
    for address in ("0.0.0.0", "::"):
        await web.TCPSite(runner, address, port).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
