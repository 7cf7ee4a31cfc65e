"""Who may change this kernel: a program with the capability that takes, and one at a time."""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nodegate_redirect.errors import KernelError, OccupiedError, UnsupportedError

_ADDRESS = "\0nodegate-agent"
"""An abstract Unix socket: there is one for each network namespace, and it is gone with its program."""
_CREDENTIALS = struct.Struct("=iII")  # struct ucred: pid, uid, gid
_NET_ADMIN = 12  # linux/capability.h


def require_net_admin() -> None:
    """Raise UnsupportedError unless this process has CAP_NET_ADMIN, without which no mode does anything."""
    status = Path("/proc/thread-self/status").read_text()
    effective = next((line.split()[1] for line in status.splitlines() if line.startswith("CapEff:")), "0")
    if not int(effective, 16) >> _NET_ADMIN & 1:
        raise UnsupportedError(
            "This changes the kernel's network, which takes root, or the capability NET_ADMIN and for some modes one "
            "more (docs/redirect.md): run it with sudo, or give its container these capabilities."
        )


@contextmanager
def sole_agent() -> Iterator[None]:
    """Be the one agent of this network namespace while the block lasts.

    Two that are told different things, or have different modes, would undo each other's work for ever. Raises
    OccupiedError, which names the other one.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as mine:
        try:
            mine.bind(_ADDRESS)
            mine.listen()
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise KernelError(f"There is no Unix socket to be had: {error}.") from error
            if other := _agent_at_work():
                raise OccupiedError(other) from error
        yield


def _agent_at_work() -> str:
    """Return what to call the other agent; empty when it is gone, or was none: anybody may take the address."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as asking:
        try:
            asking.connect(_ADDRESS)
        except OSError:
            return ""
        said = asking.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    process, user, _ = _CREDENTIALS.unpack(said)
    if user not in {0, os.geteuid()}:
        return ""
    return f"pid {process}" if process else "in another container"
