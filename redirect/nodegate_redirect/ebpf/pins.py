"""The folder in a bpffs where program and maps stay while no agent runs."""

from __future__ import annotations

import ctypes
import os
from contextlib import suppress
from pathlib import Path

from nodegate_redirect.errors import KernelError

DEFAULT = Path("/run/nodegate/bpf")
_BPFFS_MAGIC = 0xCAFE4A11
_OF_KERNEL = {"maps.debug", "progs.debug"}
"""What the kernel itself puts into a bpffs."""
_LIBC = ctypes.CDLL(None, use_errno=True)


def ensure(folder: Path) -> None:
    """Make the folder and mount a bpffs on it, unless it is on one already."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if _is_bpffs(folder):
        return
    if _LIBC.mount(b"bpf", os.fsencode(folder), b"bpf", 0, b"mode=0700"):
        reason = os.strerror(ctypes.get_errno())
        raise KernelError(
            f"No bpffs can be mounted on {folder}: {reason}. Mount one there, or name one that is mounted: "
            "--bpf-folder /sys/fs/bpf/nodegate. Mounting takes CAP_SYS_ADMIN."
        )


def remove(folder: Path) -> None:
    """Unmount what is mounted there, with whatever is in it, and remove the folder."""
    if not folder.is_dir():
        return
    if folder.is_mount():
        _LIBC.umount2(os.fsencode(folder), 0)
    with suppress(OSError):  # not empty, or not ours
        folder.rmdir()


def is_empty(folder: Path) -> bool:
    """Whether nobody has anything there: a bpffs may have been mounted for others as well."""
    return all(path.name in _OF_KERNEL for path in folder.iterdir())


def _is_bpffs(folder: Path) -> bool:
    """Whether a folder is on a bpffs: ``f_type``, the first word of ``struct statfs``."""
    buffer = (ctypes.c_long * 32)()
    return _LIBC.statfs(os.fsencode(folder), buffer) == 0 and buffer[0] == _BPFFS_MAGIC
