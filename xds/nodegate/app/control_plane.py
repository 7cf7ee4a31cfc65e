"""A control plane from its settings: every part started in order, and stopped in the reverse order."""

from __future__ import annotations

from asyncio import TaskGroup
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import structlog

from nodegate import __version__
from nodegate.app.endpoint import new_server, real_address
from nodegate.app.errors import first_of
from nodegate.app.followed import Followed, Plane
from nodegate.app.listing import Listing, listing
from nodegate.app.sites import site
from nodegate.app.state_folder import sole_user
from nodegate.app.translation import new_translation
from nodegate.app.writing import with_shared_certificate
from nodegate.debug.metrics import metrics_renderer
from nodegate.debug.pages import debug_app
from nodegate.debug.probes import Readiness, probes_app
from nodegate.debug.views import Views
from nodegate.engine import Engine
from nodegate.engine.own_certificate import own_certificate
from nodegate.server import Clients
from nodegate.settings import Address, ServeSettings, TcpAddress
from nodegate.snapshot.publisher import Publisher
from nodegate.translate.settings import KeyPair

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ControlPlane:
    """A control plane that runs. The addresses are the real ones, also where port 0 was asked for."""

    engine: Engine
    publisher: Publisher
    clients: Clients
    readiness: Readiness
    xds_address: Address
    http_address: TcpAddress
    debug_address: TcpAddress


@asynccontextmanager
async def control_plane(settings: ServeSettings, begun: Listing | None = None) -> AsyncIterator[ControlPlane]:
    """Run a control plane for as long as the block lasts. An error of a part ends the block with that error.

    ``begun`` is the listing of the cluster, where it has begun already.
    """
    try:
        async with AsyncExitStack() as stack:
            running = await _start(settings, begun or await stack.enter_async_context(listing(settings)), stack)
            _log_addresses(running)
            yield running
    except BaseExceptionGroup as errors:
        raise first_of(errors) from errors


async def _start(settings: ServeSettings, begun: Listing | None, stack: AsyncExitStack) -> ControlPlane:
    """Start every part; what ``stack`` does at the end is the graceful stop, in reverse order of this."""
    publisher, clients = Publisher(), Clients()
    if settings.state_dir is not None and begun is None:
        await stack.enter_async_context(sole_user(settings.state_dir))
    settings = with_shared_certificate(settings)
    own = own_certificate(settings.state_dir) if settings.translation.listener_mode == "shared" else None
    source = _source(settings, begun, own)
    (claims, store), translation = source.ports(), new_translation(settings.translation, own)
    engine = Engine(translation, claims, publisher, clients=clients, store=store)
    readiness = Readiness(engine.state)
    server = new_server(settings, publisher, clients)

    render = metrics_renderer(engine.state, clients, __version__, source.collectors())
    http = await stack.enter_async_context(site(probes_app(readiness, render), settings.http_address, "--http-address"))
    views = Views(engine.state, clients, readiness, __version__, source.replica)
    pages = debug_app(views, settings.debug_address.host)
    debug = await stack.enter_async_context(site(pages, settings.debug_address, "--debug-address"))

    tasks = await stack.enter_async_context(TaskGroup())
    plane = Plane(engine, publisher, clients, tasks, stack)
    plane.run(engine.run(source.start(plane)), "engine")
    await stack.enter_async_context(server.serving())
    readiness.open = True
    stack.callback(readiness.drain)
    return ControlPlane(engine, publisher, clients, readiness, real_address(settings, server), http, debug)


def _source(settings: ServeSettings, begun: Listing | None, own: KeyPair | None) -> Followed:
    """Return the folder or the cluster that is followed.

    Only that one is imported: what reads manifests takes 2 MB and 20 ms.
    """
    if begun is not None:
        from nodegate.app.kubernetes import FollowedCluster  # noqa: PLC0415

        return FollowedCluster(begun, settings, own)
    from nodegate.app.folder import FollowedFolder  # noqa: PLC0415

    return FollowedFolder(settings)


def _log_addresses(running: ControlPlane) -> None:
    log.info("xDS is served.", address=str(running.xds_address))
    log.info("Probes and metrics are served.", url=f"http://{running.http_address}/metrics")
    log.info("Debug pages are served.", url=f"http://{running.debug_address}/debug/")
