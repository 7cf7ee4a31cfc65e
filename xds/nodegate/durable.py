"""Files that are whole or not there: written beside their place, synced, and moved into it. For their owner alone."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path


def replace_file(path: Path, parts: Iterable[bytes]) -> int:
    """Put these bytes in the place of a file, durably, and return how many they are; its folder is made if need be.

    Whatever happens meanwhile, the file holds either what it held before or all of this. Does blocking I/O.

    Raises:
        OSError: The file is as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    beside = path.with_suffix(".new")
    size = _write_synced(beside, parts)
    beside.replace(path)
    _sync_folder(path.parent)
    return size


def append_to(path: Path, content: bytes) -> None:
    """Put bytes at the end of a file that exists, durably; a crash may leave a part of them. Does blocking I/O.

    Raises:
        OSError: A part of the bytes may have been written.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
    with os.fdopen(descriptor, "ab") as file:
        file.write(content)
        file.flush()
        os.fdatasync(file.fileno())


def _write_synced(path: Path, parts: Iterable[bytes]) -> int:
    path.unlink(missing_ok=True)  # whoever made it, and for whomever
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        size = sum(file.write(part) for part in parts)
        file.flush()
        os.fsync(file.fileno())
    return size


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
