"""The load generator is believed by every other test here, so it has to see what goes wrong."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.rig.addresses import free_port, own_loopback
from tests.e2e.rig.backend import Backends
from tests.e2e.rig.load import Load, Plan, Report


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[Backends]:
    backend = Backends({"blue": (own_loopback(), free_port())}, tmp_path / "backends.log")
    yield backend
    backend.stop()


@pytest.fixture
def url(backend: Backends) -> str:
    host, port = backend["blue"]
    return f"http://{host}:{port}/"


def run(plan: Plan, folder: Path, seconds: float) -> Report:
    load = Load(plan, folder / "load.log")
    time.sleep(seconds)  # load takes real time: that is what it is
    return load.finish()


def test_good_answers_are_counted_and_none_fails(url: str, tmp_path: Path) -> None:
    """Requests at the rate that was asked for, all answered, and both long ones open to their end."""
    report = run(Plan(url, 200, stream_seconds=0.5, websocket=True), tmp_path, 1)
    report.require_flawless()
    assert report.sent == report.answered_by["blue"]
    assert 150 < report.sent / report.seconds < 250
    assert report.streams_complete >= 1
    assert report.websocket_echoes > 1


def test_an_answer_that_is_not_200_is_a_failure_with_its_status(url: str, tmp_path: Path) -> None:
    """Every request to a path that answers 503 fails, and the reason says so."""
    report = run(Plan(f"{url}status/503", 100), tmp_path, 0.3)
    assert report.failed == report.sent > 0
    assert all("503" in reason for reason in report.reasons)
    with pytest.raises(AssertionError, match="503"):
        report.require_flawless()


def test_a_backend_that_goes_away_fails_requests_and_cuts_what_was_open(
    backend: Backends, url: str, tmp_path: Path
) -> None:
    """Refused connections count, and the stream and the WebSocket are reported as cut."""
    load = Load(Plan(url, 100, stream_seconds=30, websocket=True), tmp_path / "load.log")
    backend.stop()
    time.sleep(0.5)
    report = load.finish()
    assert report.failed
    assert report.stream_cut
    assert report.websocket_cut
