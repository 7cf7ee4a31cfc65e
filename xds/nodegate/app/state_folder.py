"""The state folder, which one process at a time uses."""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import structlog

from nodegate.errors import StateError

log = structlog.get_logger(__name__)

_LOCK_INTERVAL, _LOCK_ATTEMPTS = 0.1, 100


@asynccontextmanager
async def sole_user(folder: Path) -> AsyncIterator[None]:
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
