"""What is written to the cluster besides Services: claims that move, shared listeners, and Events."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from nodegate.status.certificate import NAME as OWN_SECRET
from tests.e2e.rig.envoy import Envoy
from tests.e2e.rig.waiting import eventually
from tests.kube.cluster import Cluster
from tests.kube.control_plane import ControlPlane
from tests.kube.manifests import ingress, node, service
from tests.kube.stage import envoy_binary

soon = partial(eventually, within=30.0)  # every step takes kubectl, which takes its time on a busy machine

PORTS = r"-o=jsonpath={.metadata.annotations.nodegate\.dev/listener-ports}"
REFUSED = r"-o=jsonpath={.metadata.annotations.nodegate\.dev/refused-ports}"
ADDRESS = "-o=jsonpath={.status.loadBalancer.ingress[*].ip}"


@contextmanager
def _planes(account: Path, folder: Path, *all_flags: tuple[str, ...]) -> Iterator[list[ControlPlane]]:
    """Run one replica for each of these flags; none of them may be refused anything or raise."""
    with ExitStack() as stack:
        planes = []
        for number, flags in enumerate(all_flags):
            plane = ControlPlane(account, folder / f"nodegate-{number}.log", *flags)
            stack.callback(plane.stop)
            plane.start()
            planes.append(plane)
        yield planes
    for plane in planes:
        assert "403 Forbidden" not in plane.log()
        assert "Traceback" not in plane.log()


@contextmanager
def _envoy(plane: ControlPlane, folder: Path) -> Iterator[Envoy]:
    envoy = Envoy(envoy_binary(), plane.xds_address, "delta", folder / "envoy.log")
    try:
        yield envoy
    finally:
        envoy.stop()


def _claim(cluster: Cluster, namespace: str, service: str, annotation: str = PORTS) -> str:
    """Return what a Service says of its ports; empty while it says nothing, or does not exist."""
    return cluster.kubectl("get", "service", service, "-n", namespace, annotation, "--ignore-not-found")


# --- Claims --------------------------------------------------------------------------------------------------------


def test_of_two_services_that_claim_one_port_the_older_keeps_it_and_the_other_is_moved(
    cluster: Cluster, namespace: str, account: Path, tmp_path: Path
) -> None:
    """Somebody wrote it by hand; no listener is ever at the port of another (DESIGN 3.6)."""
    with _planes(account, tmp_path, ()) as (plane,):
        cluster.apply(ingress(namespace, "old", {"/": "web"}, class_name="nodegate"))
        claim = soon(lambda: _claim(cluster, namespace, "nodegate-old"), what="a claim")
        soon(lambda: f"{namespace}/old/http" in plane.debug("")["listeners"], what="the listener")
        cluster.apply(ingress(namespace, "young", {"/": "web"}, class_name="nodegate"))
        soon(lambda: _claim(cluster, namespace, "nodegate-young"), what="the other claim")
        by_hand = ("annotate", "service", "nodegate-young", "-n", namespace, "--overwrite")
        cluster.kubectl(*by_hand, f"nodegate.dev/listener-ports={claim}")
        soon(lambda: _claim(cluster, namespace, "nodegate-young") not in {"", claim}, what="the move")
        listeners = plane.debug("")["listeners"]
        assert f"http={listeners[f'{namespace}/old/http']}" == claim
        assert listeners[f"{namespace}/young/http"] != listeners[f"{namespace}/old/http"]


@pytest.mark.timeout(120)
def test_a_port_that_a_node_cannot_use_is_moved_by_the_replica_that_sees_it(
    cluster: Cluster, namespace: str, account: Path, tmp_path: Path
) -> None:
    """It does not lead. The refused port is written down, the Problem and its Event name port and node."""
    with _planes(account, tmp_path, (), ()) as planes:
        soon(lambda: any(plane.leads for plane in planes), what="a leader")
        leader, other = sorted(planes, key=lambda plane: not plane.leads)
        cluster.apply(ingress(namespace, "shop", {"/": "web"}, class_name="nodegate"))
        claim = soon(lambda: _claim(cluster, namespace, "nodegate-shop"), what="the claim")
        port = int(claim.removeprefix("http="))
        with socket.create_server(("0.0.0.0", port)), _envoy(other, tmp_path) as envoy:
            now = envoy.port_of(f"{namespace}/shop/http")
            assert now != port
            soon(lambda: _claim(cluster, namespace, "nodegate-shop") == f"http={now}", what="the new claim")
            assert _claim(cluster, namespace, "nodegate-shop", REFUSED) == claim
            soon(lambda: leader.debug("")["listeners"] == other.debug("")["listeners"], what="the same on both")
        described = soon(lambda: _described(cluster, namespace, "shop", "PortRefused"), what="the Event")
        assert re.search(rf"Port {port} of listener {namespace}/shop/http cannot be used on node node-1", described)


# --- Shared listeners ----------------------------------------------------------------------------------------------


@pytest.mark.timeout(120)
def test_shared_listeners_have_one_service_and_their_ingresses_its_address(
    cluster: Cluster, namespace: str, account: Path, tmp_path: Path
) -> None:
    """Claims on the published Service; its status is copied to each Ingress that a proxy has acknowledged."""
    publish = ("--listener-mode", "shared", "--publish-service", f"{namespace}/entrance")
    with _planes(account, tmp_path, publish) as (plane,):
        for name in ("one", "two"):
            cluster.apply(ingress(namespace, name, {f"/{name}": "web"}, class_name="nodegate"))
        claims = soon(lambda: _claim(cluster, namespace, "entrance"), what="the claims")
        assert re.fullmatch(r"http=1\d{4},https=1\d{4}", claims)
        line = cluster.kubectl("get", "service", "entrance", "-n", namespace, "--no-headers")
        assert re.fullmatch(
            r"entrance +LoadBalancer +10\.103\.\S+ +<pending> +80:3\d{4}/TCP,443:3\d{4}/TCP +\S+\n", line
        )
        slices = cluster.get("endpointslice", "entrance", "-n", namespace)
        assert slices["endpoints"][0]["addresses"] == ["192.192.192.192"]
        assert cluster.kubectl("get", "services", "-n", namespace, "-o", "name") == "service/entrance\n"

        made = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "entrance", "namespace": namespace}}
        cluster.apply({**made, "status": {"loadBalancer": {"ingress": [{"ip": "203.0.113.7"}]}}}, status=True)
        addresses = [("get", "ingress", name, "-n", namespace, ADDRESS) for name in ("one", "two")]
        assert [cluster.kubectl(*get) for get in addresses] == ["", ""]
        with _envoy(plane, tmp_path) as envoy:
            envoy.port_of("shared/http")
            soon(lambda: {cluster.kubectl(*get) for get in addresses} == {"203.0.113.7"}, what="both addresses")
            cluster.apply(ingress(namespace, "two", {"/two": "web"}, class_name="another"))
            soon(lambda: not cluster.kubectl(*addresses[1]), what="the end of one address")
            assert cluster.kubectl(*addresses[0]) == "203.0.113.7"


def test_replicas_share_the_certificate_that_shared_listeners_make_up(
    cluster: Cluster, namespace: str, account: Path, tmp_path: Path
) -> None:
    """Every version is the same on both, that of the certificate as well; a Secret holds it."""
    flags = ("--listener-mode", "shared", "--publish-service", f"{namespace}/entrance")
    with _planes(account, tmp_path, flags, flags) as planes:
        cluster.apply(ingress(namespace, "shop", {"/": "web"}, class_name="nodegate"))

        def versions(plane: ControlPlane) -> dict[str, str]:
            return {one["name"]: one["version"] for one in plane.debug("target")["resources"]}

        soon(lambda: "shared/https" in str(versions(planes[0])), what="the listener")
        soon(lambda: versions(planes[0]) == versions(planes[1]), what="the same on both")
        assert cluster.get("secret", OWN_SECRET, "-n", "nodegate-system")["type"] == "kubernetes.io/tls"


def test_on_the_nodes_own_ports_an_ingress_has_the_addresses_of_the_nodes(
    cluster: Cluster, namespace: str, account: Path, tmp_path: Path
) -> None:
    """``--expose host``: nothing but the status is written."""
    cluster.apply(node("node-1", "192.0.2.10"))
    cluster.apply(node("node-1", "192.0.2.10"), status=True)
    ports = ("--http-port", str(_free()), "--https-port", str(_free()))
    with _planes(account, tmp_path, ("--expose", "host", *ports)) as (plane,), _envoy(plane, tmp_path):
        cluster.apply(ingress(namespace, "shop", {"/": "web"}, class_name="nodegate"))
        get = ("get", "ingress", "shop", "-n", namespace, ADDRESS)
        soon(lambda: cluster.kubectl(*get) == "192.0.2.10", what="the address")
        assert cluster.kubectl("get", "services", "-n", namespace, "-o", "name") == ""


def _free() -> int:
    with socket.create_server(("0.0.0.0", 0)) as probe:
        return int(probe.getsockname()[1])


# --- Events --------------------------------------------------------------------------------------------------------


def _described(cluster: Cluster, namespace: str, name: str, reason: str) -> str:
    """Return the lines of ``kubectl describe ingress`` that have this reason; empty while there is none."""
    text = cluster.kubectl("describe", "ingress", name, "-n", namespace)
    return "\n".join(line for line in text.splitlines() if reason in line)


def _told(cluster: Cluster, namespace: str) -> dict[str, int]:
    """Return how often each Event on an Ingress was told, by object and reason."""
    listed: list[dict[str, Any]] = cluster.get("events.v1.events.k8s.io", "-n", namespace)["items"]
    ours = [one for one in listed if one["regarding"]["kind"] == "Ingress"]
    return {f"{one['regarding']['name']} {one['reason']}": one.get("series", {}).get("count", 1) for one in ours}


@pytest.mark.timeout(120)
def test_kubectl_describe_shows_what_is_wrong_with_an_ingress_in_the_words_of_the_problem(
    cluster: Cluster, namespace: str, account: Path, tmp_path: Path
) -> None:
    """Once; a restart does not repeat it, one that ended is not repeated, and one that comes back is counted up."""
    with _planes(account, tmp_path, ()) as (plane,):
        cluster.apply(service(namespace, "web"))
        broken = ingress(namespace, "broken", {"/": "nowhere"}, class_name="nodegate")
        cluster.apply(broken, ingress(namespace, "another", {"/": "nowhere"}, class_name="another"))
        line = soon(lambda: _described(cluster, namespace, "broken", "ServiceNotFound"), what="the Event")
        (problem,) = [one for one in plane.debug("problems")["problems"] if one["name"] == "broken"]
        assert re.match(r" +Warning +ServiceNotFound +\S+ +nodegate\.dev/ingress-controller +", line)
        assert f"{problem['field']}: {problem['message']} {problem['remedy']}" in line
        plane.stop()

        plane.start()
        soon(lambda: 'resource="events"' in plane.metrics(), what="a try to tell it, which is answered: it is told")
        cluster.apply(ingress(namespace, "broken", {"/": "web"}, class_name="nodegate"))
        soon(lambda: "broken" not in str(plane.debug("problems")), what="the end of the problem")
        assert _told(cluster, namespace) == {"broken ServiceNotFound": 1}
        cluster.apply(broken)
        soon(lambda: _told(cluster, namespace) == {"broken ServiceNotFound": 2}, what="the second time")
        assert "x2 over" in _described(cluster, namespace, "broken", "ServiceNotFound")


def test_a_foreign_service_of_the_name_we_would_use_is_told_on_the_ingress(
    cluster: Cluster, namespace: str, account: Path, tmp_path: Path
) -> None:
    """It is never taken over; when it is gone, the Ingress gets its own (DESIGN 5)."""
    with _planes(account, tmp_path, ()) as (plane,):
        cluster.apply(service(namespace, "nodegate-shop"))
        before = cluster.get("service", "nodegate-shop", "-n", namespace)
        cluster.apply(ingress(namespace, "shop", {"/": "web"}, class_name="nodegate"))
        line = soon(lambda: _described(cluster, namespace, "shop", "ServiceNameTaken"), what="the Event")
        assert f"Service {namespace}/nodegate-shop exists" in line
        assert cluster.get("service", "nodegate-shop", "-n", namespace) == before
        cluster.kubectl("delete", "service", "nodegate-shop", "-n", namespace)
        soon(lambda: f"{namespace}/shop/http" in plane.debug("")["listeners"], what="the listener")
        assert "ServiceNameTaken" not in str(plane.debug("problems"))
