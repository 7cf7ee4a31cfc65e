"""The API server goes away: nobody notices who has no change to make, whatever starts or restarts meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.certificates import pair
from tests.e2e.rig.backend import Backends
from tests.e2e.rig.envoy import Envoy
from tests.e2e.rig.fetching import fetch
from tests.e2e.rig.load import Load, Plan
from tests.e2e.rig.waiting import eventually
from tests.kube.cluster import Cluster
from tests.kube.control_plane import ControlPlane
from tests.kube.manifests import ingress, tls_secret
from tests.kube.stage import at_server, envoy_binary, fetch_tls, run_backend

THIRD = 6445
HOST = "shop.example"
FLAGS = ("--redirect-grace", "0")  # there is no agent

soon = partial(eventually, within=30.0)  # every step takes kubectl, which takes its time on a busy machine


@pytest.fixture
def third(cluster: Cluster) -> Iterator[int]:
    """Return the port of another API server on the same storage: objects change through the first while it is gone."""
    cluster.start_api_server(THIRD)
    yield THIRD
    cluster.kill_api_server(THIRD)


@pytest.fixture
def plane(cluster: Cluster, third: int, account: Path, tmp_path: Path) -> Iterator[ControlPlane]:
    """Return a control plane that follows that server and keeps its state."""
    config = at_server(account, cluster.server_at(third), tmp_path)
    plane = ControlPlane(config, tmp_path / "nodegate.log", *FLAGS, "--state-dir", str(tmp_path / "state"))
    plane.start()
    yield plane
    plane.stop()
    assert "Traceback" not in plane.log()


def _metric(plane: ControlPlane, name: str) -> float:
    (line,) = (line for line in plane.metrics().splitlines() if line.startswith(f"{name} "))
    return float(line.split()[1])


def _codes(plane: ControlPlane) -> set[str]:
    return {problem["code"] for problem in plane.debug("problems")["problems"]}


def _versions(plane: ControlPlane, namespace: str) -> dict[str, Any]:
    """Return the version of every resource of a namespace but its Secrets."""
    found = (one for one in plane.debug("target")["resources"] if one["name"].startswith(f"{namespace}/"))
    return {f"{one['type']} {one['name']}": one["version"] for one in found if one["type"] != "secret"}


def _shop(namespace: str, to: str) -> dict[str, Any]:
    """Return an Ingress of every host, and of one with TLS."""
    made = ingress(namespace, "shop", {"/": to}, class_name="nodegate")
    made["spec"]["rules"].append({**made["spec"]["rules"][0], "host": HOST})
    made["spec"]["tls"] = [{"hosts": [HOST], "secretName": "certificate"}]
    return made


def test_everything_is_served_while_the_api_server_is_gone(cluster: Cluster, plane: ControlPlane) -> None:
    """Ready as before; the debug page and the metrics say since when."""
    cluster.kill_api_server(THIRD)
    soon(lambda: "ApiUnreachable" in _codes(plane), what="the problem")
    assert plane.is_ready()
    (problem,) = plane.debug("")["source"]
    assert "has not served" in problem["message"]
    assert " since 20" in problem["message"]
    unserved = 'nodegate_watch_unserved_seconds{resource="services"}'
    soon(lambda: _metric(plane, unserved) > 1, what="a second without the server")
    cluster.start_api_server(THIRD)
    soon(lambda: _metric(plane, unserved) == 0, what="the end of it")
    soon(lambda: plane.debug("")["source"] == [], what="the end of the problem")


@pytest.mark.timeout(150)
@pytest.mark.parametrize("variant", ["delta", pytest.param("sotw", marks=pytest.mark.full)])
def test_a_control_plane_that_starts_without_the_api_server_serves_what_it_knew(
    cluster: Cluster, namespace: str, plane: ControlPlane, backends: Backends, tmp_path: Path, variant: str
) -> None:
    """No request is lost through it; a new Envoy is served; what changed meanwhile comes when the server is back."""
    for name in ("details", "reviews"):
        run_backend(cluster, namespace, backends, name)
    cluster.apply(tls_secret(namespace, "certificate", pair(HOST).data), _shop(namespace, "details"))
    cluster.apply(ingress(namespace, "goes", {"/": "details"}, class_name="nodegate"))

    with _envoy(plane, variant, tmp_path / "old.log") as envoy:
        http, https, goes = (envoy.port_of(f"{namespace}/{name}") for name in ("shop/http", "shop/https", "goes/http"))
        soon(lambda: fetch_tls(https, HOST, "/") == "details", what="an answer over TLS")
        soon(lambda: _answer(http) == "details", what="an answer")
        before = _versions(plane, namespace)
        soon(lambda: _is_kept(tmp_path, namespace), what="the whole of it in the state folder")
        with _load(http, tmp_path) as load:
            cluster.kill_api_server(THIRD)
            plane.kill()
            plane.start()
            assert _codes(plane) >= {"ApiUnreachable", "ServedFromState"}
            assert (_metric(plane, "nodegate_snapshot_stale"), _metric(plane, "nodegate_synced")) == (1, 0)
            assert _versions(plane, namespace) == before

            # What happens in the cluster is not known here, and takes nothing away.
            cluster.kubectl("delete", "ingress", "goes", "-n", namespace)
            soon(lambda: envoy.stats("control_plane.connected_state"), what="the stream")
            assert fetch_tls(https, HOST, "/") == "details"
            assert _answer(goes) == "details"
            load.finish().require_flawless()

    with _envoy(plane, variant, tmp_path / "new.log") as envoy:
        soon(lambda: _answer(envoy.port_of(f"{namespace}/shop/http")) == "details", what="an answer of a new Envoy")
        with pytest.raises(OSError, match=r"EOF|reset|timed out"):  # the one thing that takes a private key
            fetch_tls(envoy.port_of(f"{namespace}/shop/https"), HOST, "/")
        with _load(http, tmp_path) as load:
            cluster.apply(_shop(namespace, "reviews"))
            cluster.start_api_server(THIRD)
            soon(lambda: _answer(http) == "reviews", within=60, what="what changed meanwhile")
            soon(lambda: f"{namespace}/goes" not in str(envoy.listeners()), what="the end of what was deleted")
            soon(lambda: fetch_tls(https, HOST, "/") == "reviews", what="an answer over TLS of the new Envoy")
            report = load.finish()
            report.require_flawless()
            assert set(report.answered_by) == {"details", "reviews"}
    assert _codes(plane).isdisjoint({"ApiUnreachable", "ServedFromState"})
    assert _metric(plane, "nodegate_snapshot_stale") == 0


@contextmanager
def _envoy(plane: ControlPlane, variant: str, log: Path) -> Iterator[Envoy]:
    envoy = Envoy(envoy_binary(), plane.xds_address, variant, log)
    try:
        yield envoy
    finally:
        envoy.stop()


@contextmanager
def _load(port: int, folder: Path) -> Iterator[Load]:
    load = Load(Plan(f"http://127.0.0.1:{port}/", 100), folder / "load.log")
    try:
        yield load
    finally:
        load.stop()


def _answer(port: int) -> str:
    return fetch(f"http://127.0.0.1:{port}/").body


def _is_kept(folder: Path, namespace: str) -> bool:
    """Whether the newest of all that is served is written down: the claims of both Ingresses."""
    text = (folder / "state" / "cluster.jsonl").read_text()
    return all(f"nodegate-{name}" in text and namespace in text for name in ("shop", "goes")) and '"details-' in text
