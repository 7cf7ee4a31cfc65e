"""``nodegate demo`` as people run it: it starts, answers, follows an edit, and leaves nothing behind."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from nodegate.demo.example import bookinfo_folder
from tests.e2e.rig.addresses import own_loopback
from tests.e2e.rig.fetching import Answer, fetch
from tests.e2e.rig.processes import python
from tests.e2e.rig.waiting import eventually

NOBODY = 65534
START_SECONDS = 40.0


class Demo:
    """A running demo; what it says is read as it comes."""

    def __init__(self, envoy: Path, folder: Path, *arguments: str, user: int | None = None) -> None:
        home = folder / "home"
        home.mkdir(exist_ok=True)
        home.chmod(0o777)
        environment = {**os.environ, "HOME": str(home), "TMPDIR": str(home), "PYTHONDONTWRITEBYTECODE": "1"}
        command = python("nodegate", "demo", "--envoy", str(envoy), *arguments)
        self.home = home
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment, user=user
        )
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
            return sentence in self.said

        eventually(look, within=within, what=f"{sentence!r} from the demo, which said:\n{self.said}\n")

    def url(self, pattern: str) -> str:
        """Return the first URL it has printed that matches."""
        found = re.search(rf"http://\S*{pattern}\S*", self.said)
        assert found, self.said
        return found.group()

    def get(self, path: str) -> Answer:
        """Ask the proxy it has started."""
        return fetch(self.url("/details/1").removesuffix("/details/1") + path)

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
        status = self.process.wait(15)
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


@pytest.fixture
def example(tmp_path: Path) -> Path:
    """Return a copy of the example with loopback addresses and an Ingress name, so a port, of its own."""
    folder = tmp_path / "bookinfo"
    shutil.copytree(bookinfo_folder(), folder)
    name = f"basic-{own_loopback().replace('.', '-')}"
    for file in folder.rglob("*.yaml"):
        text = file.read_text().replace("name: basic-ingress", f"name: {name}")
        for address in ("127.0.0.11", "127.0.0.12"):
            text = text.replace(f'["{address}"]', f'["{own_loopback()}"]')
        file.write_text(text)
    return folder


@pytest.fixture
def run(envoy_binary: Path, tmp_path: Path) -> Iterator[object]:
    """Return what starts a demo; it is ended with the test, however that goes."""
    started: list[Demo] = []

    def start(*arguments: str, user: int | None = None) -> Demo:
        started.append(Demo(envoy_binary, tmp_path, *arguments, user=user))
        return started[-1]

    yield start
    for demo in started:
        if demo.process.poll() is None:
            demo.process.kill()
        demo.finish()
