"""``nodegate serve`` as a program: until a signal ends it."""

from __future__ import annotations

import gc
from asyncio import Event, TaskGroup, to_thread
from asyncio.sslproto import SSLProtocol
from importlib import import_module
from typing import TYPE_CHECKING

import structlog

from nodegate.app.listing import Listing, listing
from nodegate.app.signals import stop_signals
from nodegate.settings import ServeSettings

if TYPE_CHECKING:
    from nodegate.engine import Engine

log = structlog.get_logger(__name__)

_LISTING_GC_THRESHOLD = 10_000_000
"""Young objects between collections until the first listing is served, which is to say none: what it makes stays. For
10,000 Ingresses it makes 1.1 million, and with a threshold of a million one collection of those took 0.14 s."""
_GC_THRESHOLD = 50_000
"""Young objects between collections from then on."""

_TLS_BUFFER_BYTES = 32 * 1024
"""What a TLS connection reads at once, two records, and keeps for as long as it lives. asyncio's own 256 KiB take 3 MB
for the watches of one cluster, and list no faster."""


async def serve(settings: ServeSettings) -> None:
    """Run until SIGTERM or SIGINT, then stop gracefully: readiness goes first, streams end after it."""
    gc.set_threshold(_LISTING_GC_THRESHOLD)
    SSLProtocol.max_size = _TLS_BUFFER_BYTES
    with stop_signals() as stop:
        async with listing(settings) as begun:
            await to_thread(import_module, "nodegate.app.control_plane")  # meanwhile the API server lists
            await _serve(settings, begun, stop)


async def _serve(settings: ServeSettings, begun: Listing | None, stop: Event) -> None:
    from nodegate.app.control_plane import control_plane  # noqa: PLC0415  # see serve

    async with control_plane(settings, begun) as running, TaskGroup() as tasks:
        freezing = tasks.create_task(_freeze_first_listing(running.engine))
        await stop.wait()
        freezing.cancel()
        log.info("Stopping.", proxies=len(running.clients.snapshot()))


async def _freeze_first_listing(engine: Engine) -> None:
    """Take what the first listing made, and what stays, out of the garbage collector's sight.

    With 10,000 Ingresses a full collection stops every stream for 0.38 s; after this it takes microseconds.
    Nothing is collected first: streams wait for their first answer, and all there is to be found are 28 objects.
    """
    await engine.until(lambda state: state.synced)
    gc.freeze()
    gc.set_threshold(_GC_THRESHOLD)
