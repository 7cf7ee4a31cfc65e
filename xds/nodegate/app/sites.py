"""HTTP applications at their addresses."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from aiohttp import web

from nodegate.errors import UsageError
from nodegate.settings import TcpAddress


@asynccontextmanager
async def site(app: web.Application, address: TcpAddress, flag: str) -> AsyncIterator[TcpAddress]:
    """Serve an application; yields the address with its real port."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        listening = web.TCPSite(runner, address.host, address.port)
        try:
            await listening.start()
        except OSError as error:
            raise UsageError(f"{flag} {address}: cannot listen: {error.strerror}. Choose another address.") from error
        yield replace(address, port=runner.addresses[0][1])
    finally:
        await runner.cleanup()
