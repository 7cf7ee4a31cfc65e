"""``nodegate demo`` as people run it."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from tests.e2e.rig.fetching import Answer, fetch
from tests.e2e.rig.processes import python
from tests.e2e.rig.waiting import eventually

NOBODY = 65534
START_SECONDS = 40.0


class Start(Protocol):
    """Starts a demo."""

    def __call__(self, *arguments: str, through: Sequence[str] = ()) -> Demo:
        """Start it with these arguments, ``through`` a command that runs it."""


class Demo:
    """A running demo; what it says is read as it comes."""

    def __init__(self, envoy: Path, folder: Path, *arguments: str, through: Sequence[str] = ()) -> None:
        home = folder / "home"
        home.mkdir(exist_ok=True)
        home.chmod(0o777)
        environment = {**os.environ, "HOME": str(home), "TMPDIR": str(home), "PYTHONDONTWRITEBYTECODE": "1"}
        command = [*through, *python("nodegate", "demo", "--envoy", str(envoy), *arguments)]
        self.home = home
        # A shell that runs the tests in the background has SIGINT ignored, and children inherit that; a person has not.
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            self.process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
            )
        finally:
            signal.signal(signal.SIGINT, before)
        self._said: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as output:
            self._said.extend(iter(output.readline, ""))

    @property
    def said(self) -> str:
        """Everything it has printed."""
        return "".join(self._said)

    def wait_for(self, sentence: str, within: float = START_SECONDS) -> None:
        """Wait until it has said this; raise at once when it has ended without."""

        def look() -> bool:
            if self.process.poll() is not None and sentence not in self.said:
                raise RuntimeError(f"the demo ended with {self.process.returncode}:\n{self.said}")
            assert sentence in self.said, self.said
            return True

        eventually(look, within=within, what=f"{sentence!r} from the demo")

    def url(self, pattern: str) -> str:
        """Return the first URL it has printed that matches."""
        found = re.search(rf"http://\S*{pattern}\S*", self.said)
        assert found, self.said
        return found.group()

    def get(self, path: str) -> Answer:
        """Ask the proxy it has started."""
        return fetch(self.url("/details/1").removesuffix("/details/1") + path)

    def problems(self) -> list[object]:
        """Return what the debug page says is wrong."""
        problems = fetch(f"{self.url('/debug/')}problems?format=json").json()["problems"]
        assert isinstance(problems, list)
        return problems

    def rejected(self) -> dict[str, int]:
        """Return every ``update_rejected`` counter of Envoy that is not zero."""
        admin = re.findall(r"http://\S+", self.said)[-1]
        stats = fetch(f"{admin}stats?format=json&filter=update_rejected").json()["stats"]
        return {item["name"]: item["value"] for item in stats if item.get("value")}

    def require_nothing_left(self) -> None:
        """Require that its home and folder for temporary files are as empty as they were."""
        assert list(self.home.iterdir()) == []

    def descendants(self) -> set[int]:
        """Return the processes it has started, and those they have."""
        found, generation = set[int](), {self.process.pid}
        while generation := {pid for parent in generation for pid in children_of(parent)} - found:
            found |= generation
        return found

    def end(self, sent: signal.Signals = signal.SIGINT) -> int:
        """Send a signal and return the exit status."""
        self.process.send_signal(sent)
        return self.finish()

    def finish(self) -> int:
        """Wait for its end and return the exit status."""
        status = self.process.wait(40)  # far more than it takes, for machines that are busy
        self._reader.join(5)
        return status


def children_of(pid: int) -> set[int]:
    """Return the processes a process has started, by whichever of its threads."""
    found: set[int] = set()
    with contextlib.suppress(OSError):
        for file in Path(f"/proc/{pid}/task").glob("*/children"):
            found |= {int(child) for child in file.read_text().split()}
    return found


def gone(pids: set[int]) -> bool:
    """Whether none of these processes exists any more."""
    return not any(Path(f"/proc/{pid}").exists() for pid in pids)


def without_privileges() -> Sequence[str]:
    """Return the command that runs another one without root: as nobody, else as root without any capability.

    Nobody may not be able to read this checkout or its Python, where they are below root's home.
    """
    if os.getuid() != 0:
        return ()
    as_nobody = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
    # setpriv itself still reads what only root may; what it runs, and what that runs, does not.
    inner = "import subprocess, sys; sys.exit(subprocess.call([sys.executable, '-c', 'import nodegate.app']))"
    probe = [*as_nobody, sys.executable, "-c", inner]
    if subprocess.run(probe, capture_output=True, check=False).returncode == 0:
        return as_nobody
    return ("setpriv", "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs")
