"""One Envoy as a child process: start it, and ask its admin interface.

Nothing is written to disk: the bootstrap goes on the command line, and hot restart with its shared memory is off. So
nothing is left behind, whatever way the demo ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import aiohttp

from nodegate.demo.child import Child, running

_POLL_SECONDS = 0.05


def envoy_command(binary: Path, bootstrap: Mapping[str, Any], *more: str) -> list[str]:
    """Return the command line of an Envoy that leaves nothing behind, with ``more`` flags."""
    return [str(binary), "--config-yaml", json.dumps(bootstrap), "--disable-hot-restart", "--concurrency", "2", *more]


class EnvoyProcess:
    """A running Envoy. Made by :func:`running_envoy`."""

    def __init__(self, child: Child, admin: str) -> None:
        self.child = child
        self.admin = admin

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


@contextlib.asynccontextmanager
async def running_envoy(binary: Path, bootstrap: Mapping[str, Any]) -> AsyncIterator[EnvoyProcess]:
    """Run Envoy for as long as the context lasts. The bootstrap has to name an admin address with a port."""
    address = bootstrap["admin"]["address"]["socket_address"]
    admin = f"http://{address['address']}:{address['port_value']}"
    async with running("Envoy", envoy_command(binary, bootstrap, "--log-level", "warning")) as child:
        yield EnvoyProcess(child, admin)


def _host_and_port(status: Mapping[str, Any]) -> tuple[str, int]:
    address = status["local_address"]["socket_address"]
    return str(address["address"]), int(address["port_value"])
