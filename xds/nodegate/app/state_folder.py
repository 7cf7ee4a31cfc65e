"""What is kept in the state folder, and that one process at a time uses it."""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import structlog

from nodegate.errors import StateError
from nodegate.model.objects import Object, Secret
from nodegate.ports import Claims, PortStore
from nodegate.settings import ServeSettings
from nodegate.source.kubernetes import Journal
from nodegate.translate.certificates import without_key

log = structlog.get_logger(__name__)

_LOCK_INTERVAL, _LOCK_ATTEMPTS = 0.1, 100


def kept_claims(folder: Path | None) -> tuple[Claims, PortStore | None]:
    """Return the claims that are kept in the folder, and where they go on being kept; without a folder, none."""
    if folder is None:
        return Claims(), None
    store = PortStore(folder)
    claims = store.load()
    if store.set_aside is not None:
        log.warning(
            "The kept ports were damaged and are set aside; listeners get ports anew.", file=str(store.set_aside)
        )
    return claims, store


def kept_cluster(settings: ServeSettings, server: str) -> Journal | None:
    """Return where the state of the cluster at this server is kept; None without a state folder.

    One that follows another cluster, or other namespaces of it, has no use for it.
    """
    if settings.state_dir is None or isinstance(settings.source, Path):
        return None
    source = " ".join((server, *sorted(settings.source.namespaces)))
    return Journal(settings.state_dir, source, _as_it_is if settings.state_secrets else _without_key)


def _as_it_is(one: Object) -> Object:
    return one


def _without_key(one: Object) -> Object:
    return without_key(one) if isinstance(one, Secret) else one


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
