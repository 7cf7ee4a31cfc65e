"""``nodegate demo`` as people run it: it starts, answers, follows an edit, and leaves nothing behind."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import pytest

from nodegate.demo.example import bookinfo_folder
from tests.e2e.rig.addresses import own_loopback
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
def run(envoy_binary: Path, tmp_path: Path) -> Iterator[Start]:
    """Return what starts a demo; it is ended with the test, however that goes."""
    started: list[Demo] = []

    def start(*arguments: str, through: Sequence[str] = ()) -> Demo:
        started.append(Demo(envoy_binary, tmp_path, *arguments, through=through))
        return started[-1]

    yield start
    for demo in started:
        if demo.process.poll() is None:
            demo.process.kill()
        demo.finish()


def require_bookinfo(demo: Demo) -> None:
    """Require what the example promises."""
    details = demo.get("/details/1")
    assert (details.status, details.json()["id"], details.json()["author"]) == (200, 1, "William Shakespeare")
    for path in ("/", "/detailsx"):
        page = demo.get(path)
        assert page.status == 200
        assert "<h1>The Comedy of Errors</h1>" in page.body


@pytest.mark.parametrize("flags", [[], ["--sotw"]], ids=["delta", "sotw"])
def test_the_demo_answers_follows_edits_and_leaves_nothing_behind(run: Start, example: Path, flags: list[str]) -> None:
    """From the first line it prints to the last: what a newcomer does in the first five minutes."""
    demo = run("--examples", str(example), *flags)
    demo.wait_for("Ctrl-C stops everything")
    require_bookinfo(demo)
    assert demo.problems() == []

    slices = example / "local" / "endpointslices.yaml"
    added = own_loopback()
    slices.write_text(slices.read_text().replace("]\n---", f']\n- addresses: ["{added}"]\n---'))
    demo.wait_for(f"Another backend of details runs on {added}:9080", within=5)
    eventually(lambda: demo.get("/details/1").headers["x-backend"] == f"{added}:9080", within=5)
    assert demo.rejected() == {}

    ingress = example / "ingress.yaml"
    ingress.write_text(ingress.read_text().replace("path: /details\n", "path: /books\n"))
    eventually(lambda: "Comedy of Errors" in demo.get("/details/1").body, within=5)

    started = demo.descendants()
    assert started
    assert demo.end() == 0, demo.said
    assert demo.said.rstrip().endswith("Stopped. Nothing is left running.")
    assert gone(started)
    demo.require_nothing_left()


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGKILL], ids=lambda sent: sent.name)
def test_the_demo_takes_envoy_with_it_however_it_is_ended(run: Start, example: Path, sent: signal.Signals) -> None:
    """SIGTERM ends it in order; after SIGKILL the kernel ends Envoy."""
    demo = run("--examples", str(example))
    demo.wait_for("Ctrl-C stops everything")
    started = demo.descendants()
    status = demo.end(sent)
    assert status == (0 if sent is signal.SIGTERM else -signal.SIGKILL)
    eventually(lambda: gone(started), within=5, what="the end of Envoy")
    demo.require_nothing_left()


def test_ctrl_c_while_the_demo_starts_ends_it_cleanly(run: Start, example: Path) -> None:
    """An impatient person gets no traceback and leaves no process."""
    demo = run("--examples", str(example))
    eventually(demo.descendants, within=START_SECONDS, what="the first process it starts")
    started = demo.descendants()
    demo.end()
    assert "Traceback" not in demo.said
    eventually(lambda: gone(started), within=5, what="the end of what it had started")


def test_the_demo_runs_without_root(run: Start, example: Path, tmp_path: Path) -> None:
    """Nothing in it takes a privilege."""
    let_everybody_read(example, tmp_path)
    demo = run("--examples", str(example), through=without_privileges())
    demo.wait_for("Ctrl-C stops everything")
    require_bookinfo(demo)
    assert demo.end() == 0
    demo.require_nothing_left()


def test_the_demo_says_what_envoy_said_when_envoy_dies(run: Start, example: Path) -> None:
    """Envoy ending by itself ends the demo, with its status and the end of its log, and exit status 1."""
    demo = run("--examples", str(example))
    demo.wait_for("Ctrl-C stops everything")
    started = demo.descendants()
    for pid in started:
        os.kill(pid, signal.SIGKILL)
    assert demo.finish() == 1
    assert "Envoy was killed by signal 9. The end of its log:" in demo.said
    assert "Traceback" not in demo.said
    assert gone(started)


def test_an_address_of_a_backend_that_is_taken_is_named_with_its_cause(run: Start, example: Path) -> None:
    """The message names the address, the object that asks for it, and the way out."""
    host = re.findall(r'addresses: \["(127\.[\d.]+)"\]', (example / "local" / "endpointslices.yaml").read_text())[0]
    with socket.create_server((host, 9080)):
        demo = run("--examples", str(example))
        assert demo.finish() == 2
    assert f"Nothing can listen on {host}:9080: Address already in use." in demo.said
    assert "EndpointSlice" in demo.said
    assert "another `nodegate demo`" in demo.said
    assert "Traceback" not in demo.said


def test_a_listener_port_that_is_taken_is_named_with_its_listener(run: Start, example: Path) -> None:
    """Two Envoys would share the port without a word, and each answer half the requests."""
    first = run("--examples", str(example))
    first.wait_for("Ctrl-C stops everything")
    port = int(first.url("/details/1").split(":")[2].split("/")[0])
    first.end()
    with socket.create_server(("0.0.0.0", port)):
        second = run("--examples", str(example))
        assert second.finish() == 2
    assert f"listens on port {port}" in second.said
    assert f"ss -ltnp 'sport = :{port}'" in second.said


def test_an_example_without_an_ingress_of_ours_is_refused(run: Start, example: Path) -> None:
    """There would be nothing to curl."""
    (example / "ingress.yaml").unlink()
    demo = run("--examples", str(example))
    assert demo.finish() == 2
    assert "no Ingress that nodegate serves" in demo.said


def test_the_example_as_it_is_shipped_answers_as_its_documentation_says(run: Start) -> None:
    """The very files of examples/bookinfo, on their fixed addresses."""
    with exclusively("nodegate-demo-addresses"):
        demo = run()
        try:
            demo.wait_for("Ctrl-C stops everything")
        except RuntimeError:
            if "listen on" in demo.said or "listens on" in demo.said:
                pytest.skip(f"another program has an address of the example: {demo.said}")
            raise
        require_bookinfo(demo)
        assert demo.get("/details/1").headers["x-backend"] == "127.0.0.11:9080"
        assert demo.end() == 0


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


def let_everybody_read(example: Path, tmp_path: Path) -> None:
    """Let others read the example: pytest's folders are for their owner only."""
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(folder.stat().st_mode | 0o011)
    for path in (example, *example.rglob("*")):
        path.chmod(path.stat().st_mode | 0o055 if path.is_dir() else 0o644)


@contextlib.contextmanager
def exclusively(name: str) -> Iterator[None]:
    """Let one test at a time in, also among processes of pytest-xdist."""
    with Path(tempfile.gettempdir(), f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
