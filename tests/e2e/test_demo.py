"""``nodegate demo`` as people run it: it starts, answers, follows an edit, and leaves nothing behind."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import signal
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from nodegate.demo.example import bookinfo_folder
from tests.e2e.rig.addresses import own_loopback
from tests.e2e.rig.demo import START_SECONDS, Demo, Start, gone, without_privileges
from tests.e2e.rig.waiting import eventually


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
