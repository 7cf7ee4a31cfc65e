"""The whole of it: a cluster, the control plane, a real Envoy, and what kubectl shows."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from nodegate.model.generated_service import service_name
from tests.e2e.rig.backend import Backends
from tests.e2e.rig.envoy import Envoy
from tests.e2e.rig.fetching import fetch
from tests.e2e.rig.waiting import eventually
from tests.kube.agent import Agent
from tests.kube.cluster import Cluster
from tests.kube.control_plane import ControlPlane
from tests.kube.manifests import ingress, node, service
from tests.kube.stage import envoy_binary, run_backend

soon = partial(eventually, within=30.0)  # every step takes kubectl, which takes its time on a busy machine


@pytest.fixture
def plane(cluster: Cluster, account: Path, tmp_path: Path) -> Iterator[ControlPlane]:
    """Return a control plane that runs as our manifests would have it."""
    plane = ControlPlane(account, tmp_path / "nodegate.log")
    plane.start()
    try:
        yield plane
    finally:
        plane.stop()
    assert "403 Forbidden" not in plane.log()
    assert "Traceback" not in plane.log()


@pytest.fixture
def envoy(plane: ControlPlane, tmp_path: Path) -> Iterator[Envoy]:
    """Return a real Envoy that the control plane serves."""
    envoy = Envoy(envoy_binary(), plane.xds_address, "delta", tmp_path / "envoy.log")
    try:
        yield envoy
    finally:
        envoy.stop()


def test_an_ingress_in_the_cluster_is_served_by_envoy(
    cluster: Cluster, namespace: str, plane: ControlPlane, envoy: Envoy, backends: Backends
) -> None:
    """From kubectl apply to an answer; then another Pod, and the path moved to another Service."""
    run_backend(cluster, namespace, backends, "details")
    run_backend(cluster, namespace, backends, "reviews")
    cluster.apply(ingress(namespace, "shop", {"/details": "details"}, class_name="nodegate"))
    port = envoy.port_of(f"{namespace}/shop/http")

    def answers(path: str) -> str:
        return fetch(f"http://127.0.0.1:{port}{path}").body

    soon(lambda: answers("/details/1") == "details", what="an answer of details")
    cluster.apply(ingress(namespace, "shop", {"/details": "reviews"}, class_name="nodegate"))
    soon(lambda: answers("/details/1") == "reviews", what="an answer of reviews")
    cluster.kubectl("delete", "ingress", "shop", "-n", namespace)
    soon(lambda: not envoy.listeners(), what="the end of the listener")


def test_an_ingress_owns_a_service_with_a_node_port_and_one_endpoint(
    cluster: Cluster, namespace: str, plane: ControlPlane
) -> None:
    """Type LoadBalancer, no selector, one dummy endpoint; all of it goes with the Ingress (redirect 1 and 11)."""
    cluster.apply(ingress(namespace, "basic-ingress", {"/": "web"}, class_name="nodegate"))
    name = "nodegate-basic-ingress"

    def shown() -> str:
        return cluster.kubectl("get", "service", name, "-n", namespace, "--no-headers", "--ignore-not-found")

    line = soon(shown, what="the Service")
    assert re.fullmatch(rf"{name} +LoadBalancer +10\.103\.\S+ +<pending> +80:3\d{{4}}/TCP +\S+\n", line)
    found = cluster.get("service", name, "-n", namespace)
    assert "selector" not in found["spec"]
    assert re.fullmatch(r"http=1\d{4}", found["metadata"]["annotations"]["nodegate.dev/listener-ports"])
    endpoints = cluster.get("endpointslice", name, "-n", namespace)
    assert endpoints["endpoints"][0]["addresses"] == ["192.192.192.192"]
    assert endpoints["ports"] == [{"name": "http", "port": 9999, "protocol": "TCP"}]

    cluster.kubectl("delete", "ingress", "basic-ingress", "-n", namespace)
    soon(lambda: not shown(), what="the end of the Service")


def test_a_service_is_written_once_and_corrected_when_somebody_changes_it(
    cluster: Cluster, namespace: str, plane: ControlPlane
) -> None:
    """Only what differs is written: its version stays as it is until somebody else writes."""
    cluster.apply(ingress(namespace, "shop", {"/": "web"}, class_name="nodegate"))
    name = service_name("shop")
    found = soon(lambda: cluster.get("service", "-n", namespace)["items"], what="the Service")[0]
    cluster.kubectl("label", "ingress", "shop", "-n", namespace, "colour=red")
    cluster.apply(service(namespace, "unrelated"))
    soon(lambda: "unrelated" in str(plane.debug("objects")), what="the change")
    again = cluster.get("service", name, "-n", namespace)
    assert again["metadata"]["resourceVersion"] == found["metadata"]["resourceVersion"]

    cluster.kubectl("patch", "service", name, "-n", namespace, "--type=merge", "-p", '{"spec": {"type": "ClusterIP"}}')
    kind = "-o=jsonpath={.spec.type}"
    get = ("get", "service", name, "-n", namespace, kind)
    soon(lambda: cluster.kubectl(*get) == "LoadBalancer", what="the correction")


def test_an_ingress_that_goes_to_another_class_loses_its_service(
    cluster: Cluster, namespace: str, plane: ControlPlane
) -> None:
    """It is somebody else's to serve; Kubernetes would keep our Service as long as the Ingress."""
    cluster.apply(ingress(namespace, "shop", {"/": "web"}, class_name="nodegate"))
    listed = ("get", "service,endpointslice", "-n", namespace, "-o", "name")
    soon(lambda: len(cluster.kubectl(*listed).split()) == 2, what="the Service and its slice")
    cluster.apply(ingress(namespace, "shop", {"/": "web"}, class_name="another"))
    soon(lambda: not cluster.kubectl(*listed), what="the end of both")


def test_an_ingress_has_an_address_only_after_a_proxy_has_acknowledged_it(
    cluster: Cluster, namespace: str, plane: ControlPlane, tmp_path: Path
) -> None:
    """Then that of the nodes, that of its Service when something gives it one, and none in another class."""
    cluster.apply(node("node-1", "192.0.2.10"), ingress(namespace, "shop", {"/": "web"}, class_name="nodegate"))
    cluster.apply(node("node-1", "192.0.2.10"), status=True)
    get = ("get", "ingress", "shop", "-n", namespace, "-o=jsonpath={.status.loadBalancer.ingress[*].ip}")
    named = ("get", "service", "-n", namespace, "-o", "name")
    soon(lambda: cluster.kubectl(*named), what="the Service")
    time.sleep(2.0)
    assert not cluster.kubectl(*get)

    envoy = Envoy(envoy_binary(), plane.xds_address, "delta", tmp_path / "envoy.log")
    try:
        soon(lambda: cluster.kubectl(*get) == "192.0.2.10", what="the address of the node")
    finally:
        envoy.stop()
    balancer = {"loadBalancer": {"ingress": [{"ip": "203.0.113.7"}]}}
    made = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "nodegate-shop", "namespace": namespace}}
    cluster.apply({**made, "status": balancer}, status=True)
    soon(lambda: cluster.kubectl(*get) == "203.0.113.7", what="the address of the Service")
    cluster.apply(ingress(namespace, "shop", {"/": "web"}, class_name="another"))
    soon(lambda: not cluster.kubectl(*get), what="the end of the address")


@pytest.mark.timeout(120)
def test_where_there_is_an_agent_an_address_waits_for_it_as_well(
    cluster: Cluster, namespace: str, plane: ControlPlane, tmp_path: Path
) -> None:
    """An Envoy serves it already, but nobody steers the Service's traffic there yet (DESIGN 3.3)."""
    cluster.apply(node("node-1", "192.0.2.10"), ingress(namespace, "shop", {"/": "web"}, class_name="nodegate"))
    cluster.apply(node("node-1", "192.0.2.10"), status=True)
    redirect = f"{namespace}/nodegate-shop/80"
    soon(lambda: redirect in str(plane.debug("target")), what="the redirect")
    get = ("get", "ingress", "shop", "-n", namespace, "-o=jsonpath={.status.loadBalancer.ingress[*].ip}")
    with Agent(plane.xds_address) as agent:
        assert redirect in agent.receive()
        envoy = Envoy(envoy_binary(), plane.xds_address, "delta", tmp_path / "envoy.log")
        try:
            port = envoy.port_of(f"{namespace}/shop/http")
            soon(lambda: fetch(f"http://127.0.0.1:{port}/").status == 503, what="an answer of Envoy")
            time.sleep(2.0)
            assert not cluster.kubectl(*get)
            agent.acknowledge()
            soon(lambda: cluster.kubectl(*get) == "192.0.2.10", what="the address")
        finally:
            envoy.stop()


def test_a_service_that_loses_its_ipv6_address_loses_its_endpoint_there(
    cluster: Cluster, namespace: str, plane: ControlPlane
) -> None:
    """kube-proxy rejects by family, so each that the Service has takes an endpoint, and no other does (redirect 11)."""
    cluster.apply(ingress(namespace, "shop", {"/": "web"}, class_name="nodegate"))

    def families() -> list[str]:
        return sorted(one["addressType"] for one in cluster.get("endpointslices", "-n", namespace)["items"])

    def patch(policy: str) -> None:
        cluster.kubectl("patch", "service", "nodegate-shop", "-n", namespace, "--type=merge", "-p", policy)

    soon(lambda: families() == ["IPv4"], what="the slice")
    soon(lambda: cluster.get("services", "-n", namespace)["items"], what="the Service")
    patch('{"spec": {"ipFamilyPolicy": "PreferDualStack"}}')
    soon(lambda: families() == ["IPv4", "IPv6"], what="the slice for IPv6")
    patch('{"spec": {"ipFamilyPolicy": "SingleStack"}}')
    soon(lambda: families() == ["IPv4"], what="its end")


def test_a_listener_keeps_the_port_that_is_written_on_its_service(
    cluster: Cluster, namespace: str, plane: ControlPlane
) -> None:
    """A control plane keeps nothing for itself: one that starts takes over the claims that the cluster holds."""
    cluster.apply(ingress(namespace, "shop", {"/": "web"}, class_name="nodegate"))
    annotation = "nodegate.dev/listener-ports"
    get = (
        "get",
        "service",
        "-n",
        namespace,
        r"-o=jsonpath={.items[*].metadata.annotations.nodegate\.dev/listener-ports}",
    )
    soon(lambda: cluster.kubectl(*get), what="the claim")
    plane.kill()
    cluster.kubectl("annotate", "service", "nodegate-shop", "-n", namespace, "--overwrite", f"{annotation}=http=19999")
    plane.start()
    soon(lambda: f"{namespace}/shop/http@19999" in str(plane.debug("target")), what="the listener on that port")
    assert cluster.kubectl(*get) == "http=19999"
