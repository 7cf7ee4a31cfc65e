"""The only place where parts are put together: settings in, a running control plane out."""

from __future__ import annotations

import asyncio
import fcntl
import gc
import os
import signal
from asyncio import TaskGroup
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import structlog
from aiohttp import web

from nodegate import __version__
from nodegate.debug.metrics import metrics_renderer
from nodegate.debug.pages import debug_app
from nodegate.debug.probes import Readiness, probes_app
from nodegate.debug.state import State
from nodegate.debug.views import Views
from nodegate.engine import Engine, Translation
from nodegate.engine.own_certificate import own_certificate
from nodegate.errors import StateError, UsageError
from nodegate.model.changes import Batch, Upsert
from nodegate.ports import Claims, PortStore
from nodegate.server import Clients, ServerOptions, TlsFiles, XdsServer
from nodegate.settings import Address, ServeSettings, TcpAddress, TranslationSettings, UnixAddress, XdsSecurity
from nodegate.snapshot.publisher import Publisher
from nodegate.snapshot.type_urls import LISTENER, ROUTE
from nodegate.source import Source
from nodegate.source.files import FolderSource, read_folder
from nodegate.source.kubernetes import KubernetesSource, connect
from nodegate.source.kubernetes.metrics import WatchCollector
from nodegate.status.addresses import AddressWriter
from nodegate.status.services import claims_in
from nodegate.status.writer import ServiceWriter
from nodegate.translate.index import Index
from nodegate.translate.settings import EscapedSlashes, Expose, Families, KeyPair, ListenerMode, Settings
from nodegate.translate.step import step

log = structlog.get_logger(__name__)

_GC_THRESHOLD = 50_000  # young objects between collections; with Python's 700 the first listing takes a quarter longer
_DEFAULTS = TranslationSettings()
_LOCK_INTERVAL, _LOCK_ATTEMPTS = 0.1, 100
_PROOF_SECONDS, _REPEAT_SECONDS = 0.5, 5.0
"""How often it is looked whether a proxy has proved an Ingress, and after what time a failed write is repeated."""


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


@dataclass(frozen=True, slots=True)
class _Written:
    """What is written to a cluster."""

    services: ServiceWriter
    addresses: AddressWriter


async def serve(settings: ServeSettings) -> None:
    """Run until SIGTERM or SIGINT, then stop gracefully: readiness goes first, streams end after it."""
    gc.set_threshold(_GC_THRESHOLD)
    with _stop_signals() as stop:
        async with control_plane(settings) as running, TaskGroup() as tasks:
            freezing = tasks.create_task(_freeze_first_listing(running.engine))
            await stop.wait()
            freezing.cancel()
            log.info("Stopping.", proxies=len(running.clients.snapshot()))


async def _freeze_first_listing(engine: Engine) -> None:
    """Take what the first listing made, and what stays, out of the garbage collector's sight.

    With 10,000 Ingresses a full collection stops every stream for 0.38 s; after this it takes microseconds.
    """
    await engine.until(lambda state: state.synced)
    gc.collect()
    gc.freeze()


@asynccontextmanager
async def control_plane(settings: ServeSettings) -> AsyncIterator[ControlPlane]:
    """Run a control plane for as long as the block lasts. An error of a part ends the block with that error."""
    try:
        async with AsyncExitStack() as stack:
            running = await _start(settings, stack)
            _log_addresses(running)
            yield running
    except BaseExceptionGroup as errors:
        raise _first(errors) from errors


async def translate_once(folder: Path, settings: TranslationSettings = _DEFAULTS) -> State:
    """Translate a folder once, as ``serve`` would on its first start, and return the state it would have.

    Raises SourceError when the folder cannot be read.
    """
    listing = read_folder(folder)

    async def batches() -> AsyncIterator[Batch]:
        yield Batch(tuple(map(Upsert, listing.objects)), synced=True, problems=listing.problems)

    engine = Engine(_translation(settings), Claims(), Publisher())
    try:
        async with TaskGroup() as tasks:
            running = tasks.create_task(engine.run(batches()))
            state = await engine.until(lambda state: state.publications > 0)
            running.cancel()
    except BaseExceptionGroup as errors:
        raise _first(errors) from errors
    return state


def _translation(chosen: TranslationSettings, own: KeyPair | None = None) -> Translation[Index]:
    """Return an empty translation with an operator's settings; ``own`` is our own certificate, if it is needed."""
    settings = Settings(
        ingress_class=chosen.ingress_class or None,
        listener_mode=ListenerMode(chosen.listener_mode),
        expose=Expose(chosen.expose),
        http_port=chosen.http_port,
        https_port=chosen.https_port,
        families=Families(chosen.address_family),
        default_certificate=chosen.default_certificate,
        self_signed=own,
        default_backend=chosen.default_backend,
        external_names=chosen.external_names,
        trusted_hops=chosen.trusted_hops,
        proxy_protocol=chosen.proxy_protocol,
        escaped_slashes=EscapedSlashes(chosen.escaped_slashes),
        access_log=chosen.access_log,
    )
    return Translation(lambda: Index.new(settings), step)


def _server_options(security: XdsSecurity) -> ServerOptions:
    tls = None
    if security.certificate is not None and security.key is not None:
        tls = TlsFiles(security.certificate, security.key, security.client_ca)
    return ServerOptions(
        tls=tls,
        insecure=security.insecure,
        reflection=security.reflection,
        streams_per_host=security.streams_per_host,
    )


async def _start(settings: ServeSettings, stack: AsyncExitStack) -> ControlPlane:
    """Start every part; what ``stack`` does at the end is the graceful stop, in reverse order of this."""
    publisher, clients = Publisher(), Clients()
    if settings.state_dir is not None:
        await stack.enter_async_context(_sole_user(settings.state_dir))
    source, written = await _source(settings, stack)
    engine = _engine(settings, publisher, clients)
    readiness = Readiness(engine.state)
    options = _server_options(settings.xds_security)
    server = XdsServer(publisher, clients, address=str(settings.xds_address), options=options)

    render = metrics_renderer(engine.state, clients, __version__, _collectors(source))
    http = await stack.enter_async_context(
        _site(probes_app(readiness, render), settings.http_address, "--http-address")
    )
    views = Views(engine.state, clients, readiness, __version__)
    pages = debug_app(views, settings.debug_address.host)
    debug = await stack.enter_async_context(_site(pages, settings.debug_address, "--debug-address"))

    tasks = await stack.enter_async_context(TaskGroup())
    if isinstance(source, KubernetesSource):
        following = tasks.create_task(source.run(), name="informers")
        stack.callback(following.cancel)
    batches = source.batches()
    if written is not None:
        batches = written.addresses.watching(written.services.watching(_adopting(batches, engine)))
        for writing in (
            _write_services(engine, written.services),
            _write_addresses(engine, written.addresses, clients),
        ):
            stack.callback(tasks.create_task(writing, name="writer").cancel)
    running = tasks.create_task(engine.run(batches), name="engine")
    stack.callback(running.cancel)
    await stack.enter_async_context(server.serving())
    readiness.open = True
    stack.callback(readiness.drain)
    return ControlPlane(engine, publisher, clients, readiness, _xds_address(settings, server), http, debug)


async def _source(settings: ServeSettings, stack: AsyncExitStack) -> tuple[Source, _Written | None]:
    """Return the folder or the cluster that is followed, and what is written there; ``stack`` closes the way to it."""
    if isinstance(settings.source, Path):
        return FolderSource(settings.source, state_dir=settings.state_dir), None
    connection = await stack.enter_async_context(connect(settings.source))
    source = KubernetesSource(connection, settings.source.namespaces)
    written = _Written(ServiceWriter(connection), AddressWriter(connection))
    return source, written if _has_services(settings) else None


def _has_services(settings: ServeSettings) -> bool:
    """Whether Ingresses have Services of their own: not where they share listeners, or listeners are on the node."""
    return settings.translation.listener_mode == "dedicated" and settings.translation.expose == "redirect"


async def _adopting(batches: AsyncIterator[Batch], engine: Engine) -> AsyncIterator[Batch]:
    """Take over the claims that the cluster holds, before the first listing is served: the ports stay as they are."""
    async for batch in batches:
        if not engine.state.synced:
            engine.adopt(claims_in(batch.changes))
        yield batch


async def _write_services(engine: Engine, writer: ServiceWriter) -> None:
    """Write what follows from the objects whenever it may have changed."""
    while True:
        state = await engine.until(lambda state: state.synced and writer.is_stale(state.ports))
        await writer.write(state.ports, state.listeners)


async def _write_addresses(engine: Engine, writer: AddressWriter, clients: Clients) -> None:
    """Write what streams prove, soon after they do."""

    def is_proved(listeners: Mapping[str, int]) -> bool:
        target = engine.state.target
        keys = [(LISTENER, f"{name}@{port}") for name, port in listeners.items()]
        keys += [(ROUTE, name) for name in listeners]
        return any(all(client.holds(key, target) for key in keys) for client in clients.connections())

    state = await engine.until(lambda state: state.synced)
    while True:
        done = await writer.write(state.ports, state.listeners, is_proved)
        await asyncio.sleep(_PROOF_SECONDS if done else _REPEAT_SECONDS)


def _collectors(source: Source) -> tuple[WatchCollector, ...]:
    return (WatchCollector(source.informers),) if isinstance(source, KubernetesSource) else ()


def _engine(settings: ServeSettings, publisher: Publisher, clients: Clients) -> Engine:
    store = None
    claims = Claims()
    if settings.state_dir is not None:
        store = PortStore(settings.state_dir)
        claims = store.load()
        if store.set_aside is not None:
            log.warning(
                "The kept ports were damaged and are set aside; listeners get ports anew.", file=str(store.set_aside)
            )
    own = own_certificate(settings.state_dir) if settings.translation.listener_mode == "shared" else None
    return Engine(_translation(settings.translation, own), claims, publisher, clients=clients, store=store)


@asynccontextmanager
async def _sole_user(folder: Path) -> AsyncIterator[None]:
    """Hold a lock on the state folder: two control planes that write one folder undo each other's claims.

    A predecessor may still be draining its streams, so this waits a moment.
    """
    descriptor = _open_lock(folder)
    try:
        await _lock(descriptor, folder)
        yield
    finally:
        os.close(descriptor)


def _open_lock(folder: Path) -> int:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StateError(
            f"Cannot use --state-dir {folder}: {error.strerror}. Give a folder that can be written."
        ) from error


async def _lock(descriptor: int, folder: Path) -> None:
    for attempt in range(_LOCK_ATTEMPTS):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if attempt == 0:
                log.info("Another nodegate uses the state folder; waiting for it to end.", folder=str(folder))
            await asyncio.sleep(_LOCK_INTERVAL)
        else:
            return
    raise StateError(f"--state-dir {folder} is in use by another nodegate. Stop it, or give each its own folder.")


@asynccontextmanager
async def _site(app: web.Application, address: TcpAddress, flag: str) -> AsyncIterator[TcpAddress]:
    """Serve an application; yields the address with its real port."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, address.host, address.port)
        try:
            await site.start()
        except OSError as error:
            raise UsageError(f"{flag} {address}: cannot listen: {error.strerror}. Choose another address.") from error
        yield replace(address, port=runner.addresses[0][1])
    finally:
        await runner.cleanup()


def _xds_address(settings: ServeSettings, server: XdsServer) -> Address:
    if isinstance(settings.xds_address, UnixAddress):
        return settings.xds_address
    return replace(settings.xds_address, port=server.port)


def _log_addresses(running: ControlPlane) -> None:
    log.info("xDS is served.", address=str(running.xds_address))
    log.info("Probes and metrics are served.", url=f"http://{running.http_address}/metrics")
    log.info("Debug pages are served.", url=f"http://{running.debug_address}/debug/")


@contextmanager
def _stop_signals() -> Iterator[asyncio.Event]:
    """Give an event that SIGTERM or SIGINT sets; a second signal ends the process at once, as without us."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()

    def stop_once(number: int) -> None:
        stop.set()
        loop.remove_signal_handler(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop_once, number)
    try:
        yield stop
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return what a group is about: its first error, from the inside."""
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
