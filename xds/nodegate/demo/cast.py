"""The backends of the demo, as many as the example names: started with it, and joined by those that are added."""

from __future__ import annotations

import socket
from contextlib import AsyncExitStack
from typing import Protocol

from nodegate.debug.state import State
from nodegate.demo.backends import APPS, Address, listen_here, serving
from nodegate.demo.example import backends_of, is_loopback
from nodegate.errors import UsageError
from nodegate.model.refs import Ref


class Places(Protocol):
    """Where backends can be."""

    def serves(self, host: str) -> bool:
        """Whether an address of an EndpointSlice is one where a backend is to be started."""

    def listen(self, address: Address) -> socket.socket:
        """Return a socket that listens there. Raises :class:`UsageError` that says why none can."""


class Loopback:
    """On this machine, on addresses that are its own."""

    def serves(self, host: str) -> bool:
        """Whether it is a loopback address."""
        return is_loopback(host)

    def listen(self, address: Address) -> socket.socket:
        """Return a socket that listens there."""
        return listen_here(address)


class Cast:
    """The running backends. They end with ``stack``."""

    def __init__(self, stack: AsyncExitStack, places: Places) -> None:
        self._stack = stack
        self._places = places
        self._serving: dict[Address, str] = {}

    async def enter(self, state: State) -> dict[Address, str]:
        """Start every backend that the example names and that does not run yet; return those.

        Those it names no longer go on: Envoy may have requests there. Raises :class:`UsageError` where an address is
        taken; those before it have started.
        """
        before = self._serving.keys() | ()
        for address, (name, cause) in sorted(backends_of(state.objects.values(), self._places.serves).items()):
            if address not in before:
                await self._start(address, name, cause)
        return {address: name for address, name in self._serving.items() if address not in before}

    async def _start(self, address: Address, name: str, cause: Ref) -> None:
        try:
            await self._stack.enter_async_context(serving(APPS[name](address), address, self._places.listen))
        except UsageError as error:
            raise UsageError(
                f"{error} The {cause} puts a backend of {name} there. If another `nodegate demo` runs, stop it; "
                "if another program has the address, write another address into the EndpointSlice."
            ) from error
        self._serving[address] = name
