"""Waiting for something to happen in a folder."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

import structlog
from watchfiles._rust_notify import RustNotify, WatchfilesRustInternalError

POLL = 2.0  # seconds between looks when nothing was reported: network mounts, links to files elsewhere
UNWATCHED_POLL = 0.5  # seconds, while the folder is missing or the kernel cannot watch it

_QUIET_MS = 50  # changes that follow each other closer than this belong together
_LONGEST_MS = 1000  # and are reported at the latest after this

T = TypeVar("T")


class FolderWatch:
    """Reports that something happened below a folder, not what: whoever waits looks for himself.

    Uses inotify through ``watchfiles``, from a thread of its own that also serves :meth:`run`. A folder that is
    missing, or was replaced by another of the same name, is watched again when it is there. Where the kernel cannot
    watch (limits, some network mounts) the time limit of :meth:`wait` is what remains.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder.absolute()  # as it is in reports
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="manifests")
        self._notify: RustNotify | None = None
        self._watched: tuple[int, int] | None = None
        self._stop = threading.Event()
        self._log = structlog.get_logger(__name__)

    async def start(self) -> None:
        """Watch from now on: what happens after this is reported by the next :meth:`wait`."""
        self._watched = _identity(self._folder)
        self._notify = await self.run(self._open) if self._watched else None

    async def wait(self, seconds: float) -> None:
        """Return when something happened, ``seconds`` have passed, or the folder had to be watched anew."""
        if _identity(self._folder) != self._watched:
            await self.start()
        elif self._notify is None:
            await asyncio.sleep(min(seconds, UNWATCHED_POLL))
        else:
            await self._wait_for_changes(self._notify, seconds)

    async def run(self, call: Callable[[], T]) -> T:
        """Run blocking I/O in the watch's thread; when cancelled, wait for it to end."""
        done = asyncio.get_running_loop().run_in_executor(self._thread, call)
        try:
            return await asyncio.shield(done)
        except asyncio.CancelledError:
            self._stop.set()
            await asyncio.wait((done,))
            raise

    def close(self) -> None:
        """Stop watching."""
        self._stop.set()
        if self._notify is not None:
            self._notify.close()
        self._thread.shutdown(wait=False)

    async def _wait_for_changes(self, notify: RustNotify, seconds: float) -> None:
        milliseconds = max(1, int(seconds * 1000))
        found = await self.run(partial(notify.watch, _LONGEST_MS, _QUIET_MS, milliseconds, self._stop))
        if isinstance(found, set) and any(path == str(self._folder) for _, path in found):
            self._watched = None  # the folder itself went; another may have its inode number

    def _open(self) -> RustNotify | None:
        try:
            return RustNotify([str(self._folder)], False, False, 0, True, True)
        except FileNotFoundError:
            return None
        except (OSError, WatchfilesRustInternalError) as error:
            self._log.warning(
                "The folder cannot be watched; it is looked at twice a second instead. "
                "Raising fs.inotify.max_user_watches usually helps.",
                folder=str(self._folder),
                error=str(error),
            )
            return None


def _identity(folder: Path) -> tuple[int, int] | None:
    try:
        status = folder.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
