"""Probes and metrics, and the start and end of a whole control plane."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace
from prometheus_client.parser import text_string_to_metric_families

from nodegate.app.control_plane import control_plane
from nodegate.debug.probes import Readiness
from nodegate.debug.state import Durations, State
from nodegate.errors import SourceError, StateError, TransportError, UsageError
from nodegate.model.problem import Problem
from nodegate.model.refs import Kind, Ref
from nodegate.settings import ServeSettings, TcpAddress
from tests.unit.debug.plane import ANY_PORT, BROKEN, SHOP, plane, proxy


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "manifests"
    made.mkdir()
    (made / "shop.yaml").write_text(SHOP)
    return made


def samples(text: str) -> dict[tuple[str, ...], float]:
    """Return the samples of a metrics page: name and label values -> value."""
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_ready_is_after_the_first_listing_its_snapshot_and_the_open_endpoint() -> None:
    """``/readyz`` says what is missing."""
    readiness = Readiness(State())
    assert "not listed" in readiness.missing()
    readiness.state.synced = True
    assert "snapshot" in readiness.missing()
    readiness.state.publications = 1
    assert "not open" in readiness.missing()
    readiness.open = True
    assert readiness.missing() == ""
    readiness.drain()
    assert "shutting down" in readiness.missing()


def test_who_is_not_ready_says_what_stands_in_the_way() -> None:
    """A rule that is missing, above all: it is what keeps a control plane in a cluster from ever being ready."""
    denied = Problem(Ref(Kind.NODE, "", "*"), "AccessDenied", "", "nodes may not be listed.", "Add the rule.")
    state = State(sources=(denied, denied))
    assert Readiness(state).missing() == (
        "The source has not listed everything yet. nodes may not be listed. Add the rule. "
        "And 1 more: see /debug/problems."
    )


def test_what_an_earlier_run_kept_is_enough_to_be_ready() -> None:
    """Proxies that start have to get it from somewhere."""
    assert Readiness(State(stale=True, publications=1), open=True).missing() == ""


async def test_the_probes_answer_and_nothing_else_is_on_their_address(folder: Path) -> None:
    """The probes' address serves probes and metrics only (DESIGN 3.8)."""
    async with plane(folder) as p:
        assert await p.probe("/healthz") == (200, "ok\n")
        assert await p.probe("/readyz") == (200, "ok\n")
        assert (await p.probe("/debug/"))[0] == 404
        p.running.readiness.drain()
        assert (await p.probe("/readyz"))[0] == 503
        assert await p.probe("/healthz") == (200, "ok\n")


async def test_metrics_say_what_there_is_and_what_proxies_made_of_it(folder: Path) -> None:
    """Prometheus can read them, and every figure is the state's own."""
    (folder / "broken.yaml").write_text(BROKEN)
    async with plane(folder) as p:
        async with proxy(p.running, "n1"):
            await p.until("/debug/", lambda data: data["proxies_synced"] == 1)
            found = samples((await p.probe("/metrics"))[1])
            assert found["nodegate_objects", "Ingress"] == 1
            assert found["nodegate_resources", "cluster"] == 1
            assert found["nodegate_proxies", "delta"] == 1
            assert found["nodegate_proxies", "sotw"] == 0
            assert found["nodegate_proxies_behind", "route"] == 0
            assert found["nodegate_synced",] == 1
            assert found["nodegate_snapshot_serial",] == p.running.engine.state.target.serial
            assert found["nodegate_translate_seconds_count",] >= 1
            (problem,) = [key for key in found if key[0] == "nodegate_problems"]
            assert problem[2] == "error"
        acked = found["nodegate_xds_responses_acked_total", "cluster"]
        assert acked >= 1
        await p.until("/debug/", lambda data: data["proxies"] == 0)
        found = samples((await p.probe("/metrics"))[1])
        assert found["nodegate_xds_responses_acked_total", "cluster"] >= acked, "a counter never goes down"


def test_durations_are_counted_in_their_bucket() -> None:
    """A bucket's upper bound belongs to it, as Prometheus has it."""
    durations = Durations((1.0, 2.0))
    for seconds in (0.5, 1.0, 1.5, 99.0):
        durations.observe(seconds)
    assert durations.counts == [2, 1, 1]
    assert (durations.count, durations.total, durations.last) == (4, 102.0, 99.0)


async def test_an_address_in_use_is_an_error_that_names_the_flag(folder: Path) -> None:
    """What to do about it is in the message."""
    async with plane(folder) as p:
        taken = p.running.http_address
        fine = ServeSettings(source=folder, xds_address=ANY_PORT, http_address=ANY_PORT, debug_address=ANY_PORT)
        for flag, settings in {
            "--http-address": replace(fine, http_address=taken),
            "--debug-address": replace(fine, debug_address=taken),
        }.items():
            with pytest.raises(UsageError, match=f"{flag} .* cannot listen"):
                async with control_plane(settings):
                    pass


async def test_an_xds_address_in_use_ends_the_start(folder: Path) -> None:
    """Nothing half-started is left."""
    async with plane(folder) as p:
        assert isinstance(p.running.xds_address, TcpAddress)
        settings = ServeSettings(
            source=folder, xds_address=p.running.xds_address, http_address=ANY_PORT, debug_address=ANY_PORT
        )
        with pytest.raises(TransportError):
            async with control_plane(settings):
                pass


async def test_a_folder_that_is_not_there_ends_the_start_with_one_sentence(tmp_path: Path) -> None:
    """The error of a part comes out as itself, not as a group of errors."""
    settings = ServeSettings(
        source=tmp_path / "missing", xds_address=ANY_PORT, http_address=ANY_PORT, debug_address=ANY_PORT
    )
    with pytest.raises(SourceError, match="missing"):
        async with control_plane(settings) as running:
            await running.engine.until(lambda state: state.synced)


async def test_a_state_folder_has_one_user(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two control planes that write one folder would undo each other's claims."""
    monkeypatch.setattr("nodegate.app.state_folder._LOCK_ATTEMPTS", 2)
    async with plane(folder, tmp_path / "state"):
        with pytest.raises(StateError, match="in use by another nodegate"):
            async with plane(folder, tmp_path / "state"):
                pass
    async with plane(folder, tmp_path / "state"):
        pass


async def test_ports_are_the_same_after_a_restart(folder: Path, tmp_path: Path) -> None:
    """Also when another listener would now come first (redirect 5)."""
    async with plane(folder, tmp_path / "state") as p:
        before = dict(p.running.engine.state.ports)
    async with plane(folder, tmp_path / "state") as p:
        assert dict(p.running.engine.state.ports) == before
