"""Programs that talk to the kernel for us: iptables, ipset, nft."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence

from nodegate_redirect.errors import KernelError, UnsupportedError

_SYSTEM_FOLDERS = "/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin"
_SECONDS = 60.0
_SHOWN = 2000


def find(program: str, package: str) -> str:
    """Return the path of a program. Raises UnsupportedError, naming the Debian package, where there is none."""
    path = shutil.which(program, path=f"{os.environ.get('PATH', '')}:{_SYSTEM_FOLDERS}")
    if path is None:
        raise UnsupportedError(f"There is no program {program} here. Install it (Debian: {package}).")
    return path


def run(command: Sequence[str], text: str = "") -> str:
    """Run a program with ``text`` on its standard input and return what it prints.

    Raises KernelError with the whole command, what it said and the line of the input that it complains about.
    """
    try:
        done = subprocess.run(
            command,
            input=text,
            capture_output=True,
            text=True,
            check=False,
            timeout=_SECONDS,
            env={**os.environ, "LC_ALL": "C"},
        )
    except subprocess.TimeoutExpired as error:
        raise KernelError(f"{' '.join(command)} did not end within {_SECONDS:g} s.") from error
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip()[:_SHOWN]
        raise KernelError(f"{' '.join(command)} failed with status {done.returncode}: {said}")
    return done.stdout
