"""Run a command that dies with the process that started it, also when that one is killed with SIGKILL.

``python tether.py PARENT_PID COMMAND...`` asks the kernel for SIGKILL at the end of its parent and then becomes the
command. It is a program of its own, started fresh, because code between ``fork`` and ``exec`` may deadlock in a process
with threads, and gRPC has threads. Source: prctl(2), PR_SET_PDEATHSIG; the wish survives ``exec``.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

_PR_SET_PDEATHSIG = 1
PARENT_GONE = 3


def tethered(command: Sequence[str | Path]) -> list[str]:
    """Return the command line that runs ``command`` for as long as this process lives, and no longer.

    It has to be started by the thread that lives longest: the kernel means that thread by "parent".
    """
    return [sys.executable, "-I", __file__, str(os.getpid()), *map(str, command)]


def main(arguments: Sequence[str]) -> int:
    """Become the command; return only when the parent is gone already."""
    parent, command = int(arguments[0]), list(arguments[1:])
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it ended before the kernel knew what we want
        return PARENT_GONE
    return os.execvp(command[0], command)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
