"""``nodegate agent`` as a program: the redirect agent of a node, put together from its settings."""

from __future__ import annotations

import asyncio
from asyncio import TaskGroup
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import structlog

from nodegate import __version__
from nodegate.app.errors import first_of
from nodegate.app.signals import stop_signals
from nodegate.app.sites import site
from nodegate.app.state_folder import sole_user
from nodegate.debug.agent import agent_debug_app
from nodegate.errors import UsageError
from nodegate.settings import AgentSettings, TcpAddress
from nodegate_redirect.agent.choosing import Choice, ModeOptions, all_modes, choose
from nodegate_redirect.agent.client import Client, Endpoint, Tls
from nodegate_redirect.agent.following import Following
from nodegate_redirect.agent.keeping import FILE_NAME, Keeper, StateFile
from nodegate_redirect.agent.kernel import Kernel
from nodegate_redirect.agent.loop import Loop
from nodegate_redirect.agent.metrics import Metrics, Seen
from nodegate_redirect.agent.probes import probes_app
from nodegate_redirect.agent.views import view
from nodegate_redirect.errors import OccupiedError, RedirectError
from nodegate_redirect.host.sole import require_net_admin, sole_agent

log = structlog.get_logger(__name__)

_INTERVAL, _ATTEMPTS = 0.1, 50


@dataclass(frozen=True, slots=True)
class Agent:
    """An agent that runs. The addresses are the real ones, also where port 0 was asked for."""

    seen: Seen
    http_address: TcpAddress
    debug_address: TcpAddress


async def run_agent(settings: AgentSettings) -> None:
    """Run until SIGTERM or SIGINT. The redirects stay in the kernel."""
    with stop_signals() as stop:
        async with agent(settings) as running:
            log.info("Probes and metrics are served.", url=f"http://{running.http_address}/metrics")
            log.info("The debug page is served.", url=f"http://{running.debug_address}/debug/")
            await stop.wait()
            log.info("Stopping; the redirects stay. `nodegate agent --cleanup` removes them.")


def clean_up(settings: AgentSettings) -> list[str]:
    """Remove from the kernel all that agents ever put there, in any mode; return a sentence for each thing."""
    require_net_admin()
    try:
        with sole_agent():
            return _clean_up(settings)
    except OccupiedError as error:
        raise UsageError(
            f"A nodegate agent runs here ({error}) and would put everything back. Stop it first."
        ) from error


def _clean_up(settings: AgentSettings) -> list[str]:
    return [change for mode in all_modes(_mode_options(settings)) for change in mode.cleanup().changes]


@asynccontextmanager
async def agent(settings: AgentSettings) -> AsyncIterator[Agent]:
    """Run an agent for as long as the block lasts. An error of a part ends the block with that error."""
    try:
        async with AsyncExitStack() as stack:
            yield await _start(settings, stack)
    except BaseExceptionGroup as errors:
        raise first_of(errors) from errors


async def _start(settings: AgentSettings, stack: AsyncExitStack) -> Agent:
    require_net_admin()
    await _become_sole_agent(stack)
    choice = await asyncio.to_thread(choose, settings.mode, _mode_options(settings))
    log.info("The mode is chosen.", mode=choice.mode.name, why=choice.why)
    keeper = await _keeper(settings, stack)
    following = keeper.following
    loop = Loop(Kernel(choice.mode, choice.others), following)

    def on_message() -> None:
        loop.wake()
        keeper.wake()

    client = Client(_endpoint(settings), following, on_message)
    seen = _seen(settings, choice, loop, client, following)
    http = await stack.enter_async_context(
        site(probes_app(seen, Metrics(seen), loop.counters), settings.http_address, "--http-address")
    )
    debug = await stack.enter_async_context(
        site(
            agent_debug_app(lambda: _view(seen, loop), settings.debug_address.host),
            settings.debug_address,
            "--debug-address",
        )
    )
    tasks = await stack.enter_async_context(TaskGroup())
    for part in (client.run(), loop.run(client), keeper.run()):
        stack.callback(tasks.create_task(part).cancel)
    return Agent(seen, http, debug)


async def _become_sole_agent(stack: AsyncExitStack) -> None:
    """Wait a moment for a predecessor that is ending."""
    for attempt in range(_ATTEMPTS):
        try:
            stack.enter_context(sole_agent())
        except OccupiedError as error:
            if attempt == 0:
                log.info("Another agent runs here; waiting for it to end.", which=str(error))
            if attempt == _ATTEMPTS - 1:
                raise UsageError(
                    f"Another nodegate agent runs here ({error}). Two would undo each other's work: stop that one."
                ) from error
            await asyncio.sleep(_INTERVAL)
        else:
            return


async def _view(seen: Seen, loop: Loop) -> dict[str, Any]:
    try:
        places, _ = await loop.counters()
    except RedirectError:
        places = {}  # the page says what the kernel refuses
    return view(seen, places)


async def _keeper(settings: AgentSettings, stack: AsyncExitStack) -> Keeper:
    if settings.state_dir is None:
        return Keeper(Following())
    await stack.enter_async_context(sole_user(settings.state_dir))
    file = StateFile(settings.state_dir / FILE_NAME)
    following = file.load()
    if file.complaint:
        log.warning(file.complaint)
    return Keeper(following, file)


def _seen(settings: AgentSettings, choice: Choice, loop: Loop, client: Client, following: Following) -> Seen:
    return Seen(loop.status, following, client, choice.mode.name, choice.why, settings.node_name, __version__)


def _mode_options(settings: AgentSettings) -> ModeOptions:
    return ModeOptions(settings.iptables_backend, settings.bpf_object, settings.bpf_folder)


def _endpoint(settings: AgentSettings) -> Endpoint:
    tls = None
    if settings.tls is not None:
        tls = Tls(settings.tls.ca, settings.tls.server_name, settings.tls.certificate, settings.tls.key)
    addresses = tuple(str(address) for address in settings.xds_addresses)
    return Endpoint(addresses, settings.node_name, settings.node_id, __version__, tls)
