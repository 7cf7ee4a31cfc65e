"""A program that runs for as long as the demo: started, watched, its log's end kept, and ended.

Nothing is written to disk: the log comes through a pipe.
"""

from __future__ import annotations

import asyncio
import contextlib
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Sequence

from nodegate.demo.tether import tethered
from nodegate.errors import NodegateError

_STOP_SECONDS = 5.0
_LOG_BYTES = 64 * 1024


class ChildEnded(NodegateError):
    """A program ended although nobody asked it to; the text holds the end of its log."""


class Child:
    """A running program; ``name`` is what people call it. Made by :func:`running`."""

    def __init__(self, name: str, process: Process) -> None:
        self._name = name
        self._process = process
        self._log = b""

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def log_tail(self, lines: int = 15) -> str:
        """Return the last lines of its log."""
        return "\n".join(self._log.decode(errors="replace").splitlines()[-lines:])

    async def ended(self) -> None:
        """Wait until it ends, and raise :class:`ChildEnded` with its exit status and the end of its log."""
        status = await self._process.wait()
        how = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
        raise ChildEnded(f"{self._name} {how}. The end of its log:\n{self.log_tail() or '(it logged nothing)'}")

    @contextlib.asynccontextmanager
    async def required(self) -> AsyncIterator[None]:
        """End the block with :class:`ChildEnded` when the program ends by itself."""
        async with asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(self.ended())
            yield
            watching.cancel()

    async def follow_log(self, stderr: asyncio.StreamReader) -> None:
        """Keep the end of the log until it closes. Has to run, or the program blocks on a full pipe."""
        while chunk := await stderr.read(_LOG_BYTES):
            self._log = (self._log + chunk)[-_LOG_BYTES:]

    async def stop(self) -> None:
        """End it: with SIGTERM, and after five seconds with SIGKILL. Does nothing when it has ended."""
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
async def running(name: str, command: Sequence[str]) -> AsyncIterator[Child]:
    """Run a command for as long as the context lasts; it ends with this process, whatever way that ends."""
    process = await asyncio.create_subprocess_exec(
        *tethered(command), stdin=asyncio.subprocess.DEVNULL, stderr=PIPE, start_new_session=True
    )
    child = Child(name, process)
    async with asyncio.TaskGroup() as tasks:
        if process.stderr is not None:
            tasks.create_task(child.follow_log(process.stderr))
        try:
            yield child
        finally:
            await child.stop()
