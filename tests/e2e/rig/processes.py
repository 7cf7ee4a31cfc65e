"""Child processes that end with the test, whatever happens to it, and keep their output in a file."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from nodegate.demo.tether import tethered

STOP_SECONDS = 10.0


class Child:
    """One child process. Its output goes to ``log``; it dies with this process."""

    def __init__(
        self,
        command: Sequence[str | Path],
        log: Path,
        *,
        environment: Mapping[str, str] | None = None,
        stdin: int = subprocess.DEVNULL,
        stdout: int | IO[bytes] | None = None,
    ) -> None:
        self.log = log
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                tethered(command),
                stdin=stdin,
                stdout=output if stdout is None else stdout,
                stderr=output,
                env={**os.environ, **(environment or {})},
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """The process id."""
        return self.process.pid

    def require_alive(self) -> None:
        """Raise with the end of its output when the process has ended. Not an AssertionError: waiting will not help."""
        if self.process.poll() is not None:
            raise RuntimeError(f"{self.log.name}: ended with status {self.process.returncode}\n{self.tail()}")

    def tail(self, lines: int = 30) -> str:
        """Return the end of its output."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def read_line(self) -> str:
        """Return the next line of its standard output, which has to be a pipe; empty when it ended."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().decode().strip()

    def close_input(self) -> None:
        """Let it see the end of its standard input, which has to be a pipe."""
        assert self.process.stdin is not None
        self.process.stdin.close()

    def kill(self) -> None:
        """SIGKILL: no time to say goodbye to anybody."""
        self.process.kill()
        self.process.wait(STOP_SECONDS)
        self._close_pipes()

    def stop(self, sent: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to end, and return its exit status. SIGKILL, and an error, where it does not end by itself."""
        if self.process.poll() is None:
            self.process.send_signal(sent)
        try:
            status = self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise RuntimeError(
                f"{self.log.name}: still there {STOP_SECONDS:g} s after {sent.name}\n{self.tail()}"
            ) from None
        self._close_pipes()
        return status

    def _close_pipes(self) -> None:
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()


def python(module_or_file: str | Path, *arguments: str) -> list[str]:
    """Return the command that runs a module (a name) or a file (a path) with this Python."""
    target = [str(module_or_file)] if isinstance(module_or_file, Path) else ["-m", module_or_file]
    return [sys.executable, *target, *arguments]
