"""Which program has a socket, as /proc tells it to those who may look."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

_PROC = Path("/proc")


def of_sockets(inodes: Iterable[int]) -> Mapping[int, str]:
    """Return ``name (pid N)`` for each socket, by inode, whose program can be seen from here.

    It takes the same user or CAP_SYS_PTRACE to look into another program, and the host's /proc to see it at all.
    """
    wanted = {f"socket:[{inode}]": inode for inode in inodes}
    found: dict[int, str] = {}
    for folder in _PROC.glob("[0-9]*/fd") if wanted else ():
        for link in _links(folder):
            if link in wanted:
                found.setdefault(wanted[link], _program(folder.parent))
    return found


def _links(folder: Path) -> list[str]:
    try:
        return [str(entry.readlink()) for entry in folder.iterdir()]
    except OSError:
        return []  # it ended, or is not ours to see


def _program(folder: Path) -> str:
    try:
        name = (folder / "comm").read_text().strip()
    except OSError:
        name = "a program"
    return f"{name} (pid {folder.name})"
