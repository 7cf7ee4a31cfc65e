"""``nodegate agent`` as a process in the namespace of the node, and a control plane that tells it what to do."""

from __future__ import annotations

import asyncio
import http.client
import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nodegate.server import Clients, ServerOptions, XdsServer
from nodegate.snapshot.publisher import Publisher
from nodegate.snapshot.resource import Resource
from nodegate.snapshot.target import Target
from nodegate.snapshot.type_urls import REDIRECT
from nodegate_protos import redirect_pb2
from nodegate_redirect.contract import Redirect
from tests.redirect.rig.world import PINS, World

PATIENCE = 15.0
_HTTP, _DEBUG = 9904, 9905


class AgentProcess:
    """A running agent. ``arguments`` come after those that every agent of a test gets."""

    def __init__(
        self, world: World, mode: str, xds: Path, folder: Path, *arguments: str, wrap: tuple[str, ...] = ()
    ) -> None:
        self._world = world
        self.log = folder / f"agent-{time.monotonic_ns()}.log"
        enter = ["nsenter", f"--net={world.network.path('node')}", *wrap]
        command = [sys.executable, "-m", "nodegate", "agent", f"--mode={mode}", f"--xds-address=unix:{xds}"]
        more = ["--node-name=node-1", f"--bpf-folder={PINS}", "--log-format=json", *arguments]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen([*enter, *command, *more], stderr=log, stdout=log)

    def said(self) -> str:
        """Return its log."""
        return self.log.read_text()

    def get(self, path: str, port: int = _HTTP) -> tuple[int, str]:
        """Return status and text of one of its pages; 0 as long as nothing answers."""

        def ask() -> tuple[int, str]:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            try:
                connection.request("GET", path)
                answer = connection.getresponse()
                return answer.status, answer.read().decode()
            except OSError:
                return 0, ""
            finally:
                connection.close()

        return self._world.network.inside("node", ask)

    def debug(self) -> Any:
        """Return what the debug page says, as data."""
        return json.loads(self.get("/debug/?format=json", _DEBUG)[1])

    def metric(self, name: str) -> float:
        """Return a metric without labels, or the sum of it over all labels."""
        found = re.findall(rf"^{name}(?:_total)?(?:{{[^}}]*}})? (\S+)$", self.get("/metrics")[1], re.MULTILINE)
        return sum(map(float, found))

    def is_ready(self) -> bool:
        """Whether it says so itself."""
        return self.get("/readyz")[0] == 200

    def kill(self) -> None:
        """End it at once."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """End it as Kubernetes does."""
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(PATIENCE) == 0, self.said()


@dataclass
class ControlPlane:
    """A real xDS server whose target is what the test asks for."""

    publisher: Publisher
    clients: Clients
    socket: Path

    def ask(self, *redirects: Redirect, **raw: bytes) -> None:
        """Ask agents for these redirects, and no others; ``raw`` are bytes under a name."""
        resources = [Resource(REDIRECT, one.name, encoded(one)) for one in redirects]
        resources += [Resource(REDIRECT, name.replace("__", "/"), body) for name, body in raw.items()]
        current = self.publisher.target or Target()
        changes: dict[tuple[str, str], Resource | None] = dict.fromkeys(
            (REDIRECT, n) for n in current.of_type(REDIRECT)
        )
        self.publisher.publish(current.apply(changes | {one.key: one for one in resources}))

    def agents(self) -> list[Any]:
        """Return how far each agent is with its redirects."""
        return [of_type for client in self.clients.snapshot() for of_type in client.types]

    def is_installed(self) -> bool:
        """Whether an agent has acknowledged everything that is asked for now."""
        target = self.publisher.target or Target()
        held = all(self.clients.is_redirected(name, target) for name in target.of_type(REDIRECT))
        return held and any(one.synced and one.acked for one in self.agents())

    def postponed(self) -> Mapping[str, str]:
        """Return what agents say of redirects that are not installed."""
        return {name: words for one in self.agents() for name, words in one.postponed.items()}


@asynccontextmanager
async def control_plane(socket: Path) -> AsyncIterator[ControlPlane]:
    """Run a control plane that asks for nothing yet."""
    publisher, clients = Publisher(), Clients()
    publisher.publish(Target())
    server = XdsServer(publisher, clients, f"unix:{socket}", options=ServerOptions(drain_seconds=0.1))
    async with server.serving():
        yield ControlPlane(publisher, clients, socket)


def encoded(redirect: Redirect) -> bytes:
    """Return a redirect as it goes over the wire."""
    message = redirect_pb2.ServiceRedirect(name=redirect.name, source_ranges=redirect.ranges)
    message.listener.name, message.listener.port = redirect.listener, redirect.port
    for place, restricted in redirect.places:
        frontend = message.frontends.add(restricted=restricted)
        frontend.address.ip, frontend.address.port = place
    for port, restricted in redirect.node_ports:
        message.frontends.add(node_port=port, restricted=restricted)
    return bytes(message.SerializeToString())


async def until(condition: Callable[[], Any], what: Callable[[], str] = lambda: "", within: float = PATIENCE) -> None:
    """Wait until a condition holds; ``what`` is shown when it never does."""
    try:
        async with asyncio.timeout(within):
            while not await asyncio.to_thread(condition):  # noqa: ASYNC110  # another process says no word
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"It never came to that. {what()}") from None


@contextmanager
def agent(world: World, mode: str, xds: Path, folder: Path, *arguments: str, **more: Any) -> Iterator[AgentProcess]:
    """Run an agent for as long as the block lasts."""
    running = AgentProcess(world, mode, xds, folder, *arguments, **more)
    try:
        yield running
    finally:
        with suppress(ProcessLookupError):
            running.kill()
