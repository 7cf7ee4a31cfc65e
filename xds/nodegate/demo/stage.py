"""Start the parts of the demo one after the other, watch them, and take them down in the other order.

Nothing is written to disk, Envoy is tied to this process, and everything else lives inside it: whatever way the demo
ends, nothing is left behind.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from nodegate.app.control_plane import ControlPlane, control_plane
from nodegate.bootstrap import BootstrapSettings, bootstrap
from nodegate.debug.state import State
from nodegate.demo.backends import Address, listen_here
from nodegate.demo.cast import Cast, Loopback, Places
from nodegate.demo.envoy_process import EnvoyProcess, running_envoy
from nodegate.demo.example import curl_lines, ingress_of
from nodegate.engine import Engine
from nodegate.errors import NodegateError, UsageError
from nodegate.settings import DEBUG_ADDRESS, ServeSettings, TcpAddress, parse_tcp

Say = Callable[[str], None]

ADMIN_ADDRESS = "127.0.0.1:9901"
START_SECONDS = 30.0
"""How long Envoy may take until it serves the example."""


class Node(Places, Protocol):
    """A node with a network of its own, and a client outside it."""

    def opened(self, running: ControlPlane) -> AbstractAsyncContextManager[str]:
        """Run its agent while the block lasts, and give what there is to say of it all."""


@dataclass(frozen=True, slots=True)
class Stage:
    """What is served, and by which Envoy. ``say`` prints one line for the person who watches.

    With ``node`` all of it happens on a node of its own, whose agent redirects traffic.
    """

    examples: Path
    envoy: Path
    sotw: bool
    say: Say
    node: Node | None = None


async def perform(stage: Stage) -> None:
    """Run the demo until SIGINT or SIGTERM. Raises :class:`NodegateError` when a part fails or ends by itself."""
    with _cancelled_by_signal():
        try:
            await _perform(stage)
        except BaseExceptionGroup as errors:
            raise _first(errors) from errors


async def _perform(stage: Stage) -> None:
    settings = ServeSettings(
        source=stage.examples,
        xds_address=_any_port(),
        http_address=_any_port(),
        debug_address=_preferably(DEBUG_ADDRESS),
    )
    async with control_plane(settings) as running, contextlib.AsyncExitStack() as stack:
        cast = Cast(stack, stage.node or Loopback())
        state = await running.engine.until(lambda state: state.synced)
        _require_free_ports(state.ports)
        await cast.enter(state)
        async with _envoy(stage, running) as envoy:
            await _wait_until_served(envoy, state)
            async with _opened(stage, running, envoy) as text:
                stage.say(text)
                await _follow(running.engine, cast, stage.say)


@contextlib.asynccontextmanager
async def _opened(stage: Stage, running: ControlPlane, envoy: EnvoyProcess) -> AsyncIterator[str]:
    """Run what comes after Envoy, and give what there is to say of it all."""
    if stage.node is None:
        yield _playbill(stage, running, envoy)
        return
    async with stage.node.opened(running) as text:
        yield text


@contextlib.asynccontextmanager
async def _envoy(stage: Stage, running: ControlPlane) -> AsyncIterator[EnvoyProcess]:
    """Run Envoy; when it ends by itself, so does the block, with the reason."""
    admin = _preferably(ADMIN_ADDRESS)
    if not admin.port:
        with listen_here(
            Address(admin.host, 0)
        ) as probe:  # Envoy does not tell which port it was given: choose it here
            admin = TcpAddress(admin.host, probe.getsockname()[1])
    settings = BootstrapSettings(
        xds_address=running.xds_address,
        node_name="demo",
        admin_address=admin,
        sotw=stage.sotw,
        redirect=stage.node is not None,
    )
    async with running_envoy(stage.envoy, bootstrap(settings)) as envoy, envoy.child.required():
        yield envoy


async def _wait_until_served(envoy: EnvoyProcess, state: State) -> None:
    if not state.ports:
        problems = "\n".join(str(problem) for problem in state.all_problems())
        raise UsageError(f"The example holds no Ingress that nodegate serves.\n{problems}".rstrip())
    try:
        async with asyncio.timeout(START_SECONDS):
            await envoy.wait_for_listener()
    except TimeoutError as error:
        raise NodegateError(
            f"Envoy did not serve the example within {START_SECONDS:.0f} s. The end of its log:\n"
            f"{envoy.child.log_tail()}"
        ) from error


async def _follow(engine: Engine, cast: Cast, say: Say) -> None:
    """Tell what edits of the example do, and start the backends they add. Problems of the example are in the log."""
    sequence, publications = engine.state.sequence, engine.state.publications
    while True:
        state = await engine.until(partial(_is_newer, sequence))
        try:
            for address, name in (await cast.enter(state)).items():
                say(f"Another backend of {name} runs on {address}.")
        except UsageError as error:
            say(f"Warning: {error}")
        if state.publications > publications:
            say("The example changed, and Envoy with it.")
        sequence, publications = state.sequence, state.publications


def _is_newer(sequence: int, state: State) -> bool:
    return state.sequence > sequence


def _playbill(stage: Stage, running: ControlPlane, envoy: EnvoyProcess) -> str:
    state = running.engine.state
    lines = ["", f"Envoy serves {stage.examples}. In another terminal:", ""]
    for listener, port in sorted(state.ports.items()):
        ingress = ingress_of(listener, state.objects)
        if ingress is not None and listener.endswith("/http"):
            lines += [f"  {line}" for line in curl_lines(ingress, port)]
    pages = {
        f"http://{running.debug_address}/debug/": "what nodegate knows and has sent",
        f"{envoy.admin}/": "what Envoy says about itself",
    }
    width = max(map(len, pages))
    lines += ["", *(f"  {url:{width}}  {content}" for url, content in pages.items()), ""]
    return "\n".join(
        [*lines, "Edit the files of the example and curl again: changes are live. Ctrl-C stops everything."]
    )


def _require_free_ports(ports: Mapping[str, int]) -> None:
    """Refuse a listener port that another program has: two Envoys would share it, and each serve half the requests."""
    for name, port in sorted(ports.items()):
        try:
            listen_here(Address("0.0.0.0", port)).close()  # noqa: S104 - where Envoy will listen
        except UsageError as error:
            raise UsageError(
                f"Another program on this machine listens on port {port}, which follows from the listener's name "
                f"{name}. See which with `ss -ltnp 'sport = :{port}'` and stop it, or rename the Ingress."
            ) from error


def _any_port() -> TcpAddress:
    return TcpAddress("127.0.0.1", 0)


def _preferably(address: str) -> TcpAddress:
    """Return the address people know, or one with any port where that one is taken."""
    known = parse_tcp(address, "address")
    try:
        listen_here(Address(known.host, known.port)).close()
    except UsageError:
        return TcpAddress(known.host, 0)
    return known


@contextlib.contextmanager
def _cancelled_by_signal() -> Iterator[None]:
    """Cancel the current task on SIGINT or SIGTERM, at whatever point it is, and take that for a good end."""
    task, loop = asyncio.current_task(), asyncio.get_running_loop()
    asked: list[signal.Signals] = []

    def stop(number: signal.Signals) -> None:
        asked.append(number)
        if task is not None:
            task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop, number)
    try:
        yield
    except asyncio.CancelledError:
        if not asked:
            raise
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return what a group is about: its first error that is not a group itself."""
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
