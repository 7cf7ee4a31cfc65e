"""One Envoy as a child process: start it, ask its admin interface, keep the end of its log, stop it.

Nothing is written to disk: the bootstrap goes on the command line, the log comes through a pipe, and hot restart with
its shared memory is off. So nothing is left behind, whatever way the demo ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import aiohttp

from nodegate.demo.tether import tethered
from nodegate.errors import NodegateError

_STOP_SECONDS = 5.0
_POLL_SECONDS = 0.05
_LOG_BYTES = 64 * 1024


def envoy_command(binary: Path, bootstrap: Mapping[str, Any], *more: str) -> list[str]:
    """Return the command line of an Envoy that leaves nothing behind, with ``more`` flags."""
    return [str(binary), "--config-yaml", json.dumps(bootstrap), "--disable-hot-restart", "--concurrency", "2", *more]


class EnvoyEnded(NodegateError):
    """Envoy ended although nobody asked it to; the text holds the end of its log."""


class EnvoyProcess:
    """A running Envoy. Made by :func:`running_envoy`."""

    def __init__(self, process: Process, admin: str) -> None:
        self._process = process
        self._log = b""
        self.admin = admin

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def log_tail(self, lines: int = 15) -> str:
        """Return the last lines of Envoy's log."""
        return "\n".join(self._log.decode(errors="replace").splitlines()[-lines:])

    async def ended(self) -> None:
        """Wait until Envoy ends, and raise :class:`EnvoyEnded` with its exit status and the end of its log."""
        status = await self._process.wait()
        how = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
        raise EnvoyEnded(f"Envoy {how}. The end of its log:\n{self.log_tail() or '(it logged nothing)'}")

    async def follow_log(self, stderr: asyncio.StreamReader) -> None:
        """Keep the end of Envoy's log until it closes. Has to run, or Envoy blocks on a full pipe."""
        while chunk := await stderr.read(_LOG_BYTES):
            self._log = (self._log + chunk)[-_LOG_BYTES:]

    async def addresses(self, session: aiohttp.ClientSession) -> dict[str, tuple[str, int]]:
        """Return the listeners that Envoy has active, with the host and port of each. Empty while admin is not up."""
        try:
            async with session.get(f"{self.admin}/listeners?format=json") as answer:
                listed = await answer.json(content_type=None)
        except aiohttp.ClientError:
            return {}
        return {status["name"]: _host_and_port(status) for status in listed.get("listener_statuses", ())}

    async def wait_for_listener(self) -> tuple[str, int]:
        """Wait until Envoy has a listener, and return its host and port."""
        async with aiohttp.ClientSession() as session:
            while not (found := await self.addresses(session)):  # noqa: ASYNC110 - the event is in Envoy
                await asyncio.sleep(_POLL_SECONDS)
        return found[min(found)]

    async def stop(self) -> None:
        """End Envoy: with SIGTERM, and after five seconds with SIGKILL. Does nothing when it has ended."""
        if self._process.returncode is not None:
            return
        self._process.terminate()
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()


@contextlib.asynccontextmanager
async def running_envoy(binary: Path, bootstrap: Mapping[str, Any]) -> AsyncIterator[EnvoyProcess]:
    """Run Envoy for as long as the context lasts. The bootstrap has to name an admin address with a port."""
    address = bootstrap["admin"]["address"]["socket_address"]
    admin = f"http://{address['address']}:{address['port_value']}"
    process = await asyncio.create_subprocess_exec(
        *tethered(envoy_command(binary, bootstrap, "--log-level", "warning")),
        stdin=asyncio.subprocess.DEVNULL,
        stderr=PIPE,
        start_new_session=True,
    )
    envoy = EnvoyProcess(process, admin)
    async with asyncio.TaskGroup() as tasks:
        if process.stderr is not None:
            tasks.create_task(envoy.follow_log(process.stderr))
        try:
            yield envoy
        finally:
            await envoy.stop()


def _host_and_port(status: Mapping[str, Any]) -> tuple[str, int]:
    address = status["local_address"]["socket_address"]
    return str(address["address"]), int(address["port_value"])
