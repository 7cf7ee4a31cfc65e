"""Two replicas of the control plane on one cluster: who serves what, and who writes what (DESIGN 3.6)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.rig.envoy import Envoy
from tests.e2e.rig.relay import Relay
from tests.e2e.rig.waiting import eventually
from tests.kube.cluster import Cluster
from tests.kube.control_plane import LEASE_SECONDS, ControlPlane
from tests.kube.manifests import ingress, node, service
from tests.kube.stage import envoy_binary

soon = partial(eventually, within=30.0)  # every step takes kubectl, which takes its time on a busy machine

COUNTERS = "cluster_added|cluster_modified|listener_added|listener_modified|listener_removed|config_reload$"


class Pair:
    """Two replicas."""

    def __init__(self, *planes: ControlPlane) -> None:
        self.planes = planes

    @property
    def leader(self) -> ControlPlane:
        """The one that leads; waits until one does."""
        return soon(lambda: [one for one in self.planes if one.leads], what="a leader")[0]

    @property
    def other(self) -> ControlPlane:
        """The one that does not."""
        leader = self.leader
        return next(one for one in self.planes if one is not leader)


@pytest.fixture
def pair(cluster: Cluster, account: Path, tmp_path: Path) -> Iterator[Pair]:
    """Return two replicas that both serve, one of which leads."""
    with ExitStack() as stack:
        planes = []
        for name in ("a", "b"):
            plane = ControlPlane(account, tmp_path / f"{name}.log", "--lease-identity", name)
            stack.callback(plane.stop)
            plane.start()
            planes.append(plane)
        yield Pair(*planes)
    for plane in planes:
        assert "403 Forbidden" not in plane.log()
        assert "Traceback" not in plane.log()


def _versions(plane: ControlPlane) -> dict[str, Any]:
    found = plane.debug("target")["resources"]
    return {f"{one['type']} {one['name']}": one["version"] for one in found}


def _written(cluster: Cluster, namespace: str) -> dict[str, Any]:
    """Return everything that nodegate writes in a namespace: its version, and who wrote what and when."""
    listed = cluster.get("services,endpointslices,ingresses,events", "-n", namespace, "--show-managed-fields")["items"]
    metadata = [(f"{one['kind']} {one['metadata']['name']}", one["metadata"]) for one in listed]
    return {name: (found["resourceVersion"], found.get("managedFields")) for name, found in metadata}


def _address(cluster: Cluster, namespace: str, name: str) -> str:
    path = "-o=jsonpath={.status.loadBalancer.ingress[*].ip}"
    return cluster.kubectl("get", "ingress", name, "-n", namespace, path)


def _shop(cluster: Cluster, namespace: str) -> None:
    cluster.apply(node("node-1", "192.0.2.10"), ingress(namespace, "shop", {"/": "web"}, class_name="nodegate"))
    cluster.apply(node("node-1", "192.0.2.10"), status=True)
    cluster.apply(service(namespace, "web"))


@pytest.mark.timeout(120)
def test_replicas_serve_the_same_and_an_envoy_that_moves_has_nothing_to_change(
    cluster: Cluster, namespace: str, pair: Pair, tmp_path: Path
) -> None:
    """Every version is that of the content, so it gets no cluster and no listener again (xds-protocol 25, 37).

    What it asks for by name is answered, as it has to be (28), and is what it has; later changes come as well.
    """
    _shop(cluster, namespace)
    leader, other = pair.leader, pair.other
    with Relay(leader.xds_address) as relay, _envoy(relay.address, tmp_path) as envoy:
        envoy.port_of(f"{namespace}/shop/http")
        soon(lambda: _address(cluster, namespace, "shop"), what="the address")
        soon(lambda: _versions(leader) == _versions(other), what="the same on both")
        before = envoy.stats(COUNTERS)

        relay.go_to(other.xds_address)
        soon(lambda: _in_sync(other), what="the Envoy in sync with the other one")
        assert envoy.stats(COUNTERS) == before
        cluster.apply(ingress(namespace, "new", {"/": "web"}, class_name="nodegate"))
        envoy.port_of(f"{namespace}/new/http")


@contextmanager
def _envoy(address: str, folder: Path) -> Iterator[Envoy]:
    envoy = Envoy(envoy_binary(), address, "delta", folder / "envoy.log")
    try:
        yield envoy
    finally:
        envoy.stop()


def _in_sync(plane: ControlPlane) -> bool:
    proxies = plane.debug("proxies")["proxies"]
    return bool(proxies) and all(one["synced"] for proxy in proxies for one in proxy["types"])


@pytest.mark.timeout(120)
def test_an_envoy_that_knows_only_a_replica_that_does_not_lead_gets_its_ingress_its_address(
    cluster: Cluster, namespace: str, pair: Pair, tmp_path: Path
) -> None:
    """The leader claims the port and makes the Service; who holds the stream writes what it proves."""
    _shop(cluster, namespace)
    with _envoy(pair.other.xds_address, tmp_path):
        soon(lambda: _address(cluster, namespace, "shop") == "192.0.2.10", what="the address")
    assert pair.leader.debug("proxies")["proxies"] == []


@pytest.mark.timeout(120)
def test_another_replica_takes_over_when_the_leader_is_killed_and_nothing_is_written_twice(
    cluster: Cluster, namespace: str, pair: Pair, tmp_path: Path
) -> None:
    """SIGKILL; within the Lease (3 s here) and one look at it. All that was written stays as it is, to the version."""
    _shop(cluster, namespace)
    cluster.apply(ingress(namespace, "broken", {"/": "nowhere"}, class_name="nodegate"))
    leader, other = pair.leader, pair.other
    with _envoy(other.xds_address, tmp_path) as envoy:
        soon(lambda: _address(cluster, namespace, "shop"), what="the address")
        soon(lambda: _address(cluster, namespace, "broken"), what="the address of the other one")
        soon(lambda: "ServiceNotFound" in str(_events(cluster, namespace)), what="the Event")
        before = _written(cluster, namespace)

        leader.kill()
        killed = time.monotonic()
        soon(lambda: other.leads, what="the takeover")
        assert time.monotonic() - killed < float(LEASE_SECONDS) + 1.5
        assert _written(cluster, namespace) == before
        cluster.apply(ingress(namespace, "new", {"/": "web"}, class_name="nodegate"))
        envoy.port_of(f"{namespace}/new/http")
        soon(lambda: _address(cluster, namespace, "new"), what="the address of a new one")

        leader.start()
        soon(lambda: _versions(leader) == _versions(other), what="the same on both again")
        assert other.leads
        now = _written(cluster, namespace)
        assert {name: found for name, found in now.items() if name in before} == before


@pytest.mark.timeout(120)
def test_a_leader_that_is_stopped_hands_over_at_once(cluster: Cluster, namespace: str, pair: Pair) -> None:
    """SIGTERM: it gives the Lease back, so nobody waits for its end."""
    leader, other = pair.leader, pair.other
    assert other.debug("")["replica"]["holder"] == leader.debug("")["replica"]["name"]
    leader.stop()
    stopped = time.monotonic()
    soon(lambda: other.leads, what="the takeover")
    assert time.monotonic() - stopped < 1.5
    assert other.metric("nodegate_lease_transitions_total") >= 1
    assert other.metric("nodegate_cluster_requests_total") > 0


def _events(cluster: Cluster, namespace: str) -> list[str]:
    return [event["reason"] for event in cluster.get("events", "-n", namespace)["items"]]
