"""Which program has a socket, as /proc tells it to those who may look."""

from __future__ import annotations

from pathlib import Path

_PROC = Path("/proc")


def of_socket(inode: int) -> str:
    """Return ``name (pid N)`` of the first program that has a socket open; empty where none can be seen from here.

    It takes the same user or CAP_SYS_PTRACE to look into another program, and the host's /proc to see it at all.
    """
    wanted = f"socket:[{inode}]"
    for folder in _PROC.glob("[0-9]*/fd"):
        if wanted in _links(folder):
            return _program(folder.parent)
    return ""


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
