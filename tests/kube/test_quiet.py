"""What nodegate writes, counted in the API server's audit log: everything once, and nothing that is somebody else's."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.rig.envoy import Envoy
from tests.e2e.rig.waiting import eventually
from tests.kube.audit import Audit
from tests.kube.cluster import Cluster
from tests.kube.control_plane import ControlPlane
from tests.kube.manifests import ingress, node, service
from tests.kube.stage import ACCOUNT, at_server, envoy_binary

AUDITED = 6448
SETTLED_SECONDS = 4.0
"""Longer than an Event waits, than two turns at the Lease, and than every pause of what is tried again."""

soon = partial(eventually, within=30.0)


class Scene:
    """A control plane with an Envoy, and all that it has written, from an audit log of its own."""

    def __init__(self, cluster: Cluster, namespace: str, plane: ControlPlane, audit: Audit) -> None:
        self.plane = plane
        self._cluster, self._namespace, self._audit = cluster, namespace, audit

    @property
    def written(self) -> list[str]:
        """Everything that was written in the namespace of the test."""
        return [one for one in self._audit.writes() if f" {self._namespace}/" in one]

    def settled(self) -> list[str]:
        """Wait until nothing more is written; return what was."""

        def unchanged() -> list[str]:
            before = self.written
            time.sleep(SETTLED_SECONDS)
            return before if before and self.written == before else []

        return list(soon(unchanged, what="an end of writing"))

    def address(self, name: str) -> str:
        """Return the address of an Ingress."""
        path = "-o=jsonpath={.status.loadBalancer.ingress[*].ip}"
        return self._cluster.kubectl("get", "ingress", name, "-n", self._namespace, path)

    def put_address(self, name: str, address: str) -> None:
        """Write a status as another controller would, under its own name."""
        metadata = {"name": name, "namespace": self._namespace}
        status = {"loadBalancer": {"ingress": [{"ip": address}]}}
        made = {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": metadata, "status": status}
        self._cluster.apply(made, status=True)


@pytest.fixture
def scene(cluster: Cluster, account: Path, namespace: str, tmp_path: Path) -> Iterator[Scene]:
    """Return a control plane and an Envoy of its own, at an API server that writes down who wrote what."""
    audit = Audit(tmp_path, "system:serviceaccount:{}:{}".format(*ACCOUNT))
    with ExitStack() as stack:
        cluster.start_api_server(AUDITED, audit.flags)
        stack.callback(cluster.kill_api_server, AUDITED)
        config = at_server(account, cluster.server_at(AUDITED), tmp_path)
        plane = ControlPlane(config, tmp_path / "nodegate.log")
        plane.start()
        stack.callback(plane.stop)
        envoy = Envoy(envoy_binary(), plane.xds_address, "delta", tmp_path / "envoy.log")
        stack.callback(envoy.stop)
        yield Scene(cluster, namespace, plane, audit)
    assert "Traceback" not in plane.log()


def _node(cluster: Cluster, **more: Any) -> None:
    made = node("node-1", "192.0.2.10")
    made["status"].update(more)
    cluster.apply(made)
    cluster.apply(made, status=True)


@pytest.mark.timeout(150)
def test_everything_is_written_once_whatever_else_happens(cluster: Cluster, namespace: str, scene: Scene) -> None:
    """A request for each object; then none, while what others write on the same objects comes back by the watch."""
    _node(cluster)
    cluster.apply(service(namespace, "web"), ingress(namespace, "shop", {"/": "web"}, class_name="nodegate"))
    cluster.apply(ingress(namespace, "broken", {"/": "nowhere"}, class_name="nodegate"))
    cluster.apply(ingress(namespace, "foreign", {"/": "web"}, class_name="another"))
    soon(lambda: scene.address("shop") and scene.address("broken"), what="both addresses")
    written = scene.settled()
    names = {name: (f"{namespace}/{name}", f"{namespace}/nodegate-{name}") for name in ("shop", "broken")}
    expected = [f"patch {kind} {own}" for _, own in names.values() for kind in ("services", "endpointslices")]
    expected += [f"patch ingresses/status {of}" for of, _ in names.values()]
    assert sorted(one for one in written if " events " not in one) == sorted(expected)
    events = [one for one in written if " events " in one]
    assert len(events) == 2  # the Service that is missing, and the one without endpoints

    # A node's heartbeat, a load balancer's finalizer, labels, endpoints, and a restart.
    for number in range(3):
        _node(cluster, conditions=[{"type": "Ready", "status": "True", "message": f"beat {number}"}])
        for kind, name in (("ingress", "shop"), ("service", "nodegate-shop"), ("service", "web")):
            cluster.kubectl("label", kind, name, "-n", namespace, "--overwrite", f"beat={number}")
    finalizer = '{"metadata": {"finalizers": ["service.kubernetes.io/load-balancer-cleanup"]}}'
    cluster.kubectl("patch", "service", "nodegate-shop", "-n", namespace, "--type=merge", "-p", finalizer)
    scene.plane.stop()
    scene.plane.start()
    soon(lambda: scene.plane.leads, what="the lead")
    again = scene.settled()[len(written) :]
    cluster.kubectl("patch", "service", "nodegate-shop", "-n", namespace, "--type=json", "-p", _NO_FINALIZERS)
    assert [one for one in again if " events " not in one] == []
    assert len(again) <= len(events)  # the API server answers that it has those


_NO_FINALIZERS = '[{"op": "remove", "path": "/metadata/finalizers"}]'


@pytest.mark.timeout(150)
def test_an_ingress_that_went_to_another_class_is_cleared_once_and_left_to_its_controller(
    cluster: Cluster, namespace: str, scene: Scene
) -> None:
    """No retry war, whatever the other one writes, our own addresses included (ingress.md 20)."""
    _node(cluster)
    cluster.apply(service(namespace, "web"), ingress(namespace, "shop", {"/": "web"}, class_name="nodegate"))
    soon(lambda: scene.address("shop") == "192.0.2.10", what="the address")
    before = len(scene.settled())
    cluster.apply(ingress(namespace, "shop", {"/": "web"}, class_name="another"))
    soon(lambda: not scene.address("shop"), what="the end of the address")
    for address in ("203.0.113.99", "203.0.113.100", "203.0.113.99"):
        scene.put_address("shop", address)
    written = scene.settled()[before:]
    assert sorted(written) == [
        f"delete endpointslices {namespace}/nodegate-shop",
        f"delete services {namespace}/nodegate-shop",
        f"patch ingresses/status {namespace}/shop",
    ]
    assert scene.address("shop") == "203.0.113.99"


@pytest.mark.timeout(150)
def test_an_ingress_of_another_class_is_never_written(cluster: Cluster, namespace: str, scene: Scene) -> None:
    """Not at a start, not when its controller writes, and not when that writes what nodegate would."""
    _node(cluster)
    cluster.apply(service(namespace, "web"), ingress(namespace, "shop", {"/": "web"}, class_name="another"))
    scene.put_address("shop", "203.0.113.99")
    cluster.apply(ingress(namespace, "ours", {"/": "web"}, class_name="nodegate"))
    soon(lambda: scene.address("ours"), what="the address of ours")
    for address in ("203.0.113.100", "192.0.2.10"):
        scene.put_address("shop", address)
    scene.plane.stop()
    scene.plane.start()
    soon(lambda: scene.plane.leads, what="the lead")
    assert [one for one in scene.settled() if one.endswith("/shop")] == []
    assert scene.address("shop") == "192.0.2.10"
