"""A real API server and a real kube-proxy in the node's namespace, with the objects that a cluster has."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from nodegate.status.services import DUMMY_ADDRESS, DUMMY_ADDRESS_IPV6, DUMMY_PORT
from tests.e2e.rig.manifests import Manifest
from tests.e2e.rig.processes import Child
from tests.e2e.rig.waiting import eventually
from tests.kube.cluster import Cluster
from tests.redirect.rig.kube_proxy import FAMILIES, NODE_PORT, POD_PORT
from tests.redirect.rig.namespaces import Network, network

SERVICE_RANGES = "10.103.0.0/16,fd00:96::/112"
PRESENT_SECONDS = 60.0


class Node:
    """A node of a cluster; kube-proxy is started and ended by the tests."""

    def __init__(self, net: Network, programs: Path, folder: Path) -> None:
        self.network = net
        self._folder, self._prefix = folder, ["nsenter", f"--net={net.path('node')}"]
        self.cluster = Cluster(programs, folder, service_range=SERVICE_RANGES, prefix=self._prefix)
        self._kube_proxy: Child | None = None
        self.mode = ""

    def start(self) -> None:
        """Start the API, with a Node, and without controllers: every object is written here."""
        self.cluster.start_etcd()
        self.cluster.start_api_server()
        addresses = [{"type": "InternalIP", "address": FAMILIES[family].node} for family in FAMILIES]
        node: Manifest = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node-1"}}
        self.cluster.apply(node)
        status = json.dumps({"status": {"addresses": addresses}})  # an apply takes one address of a type
        self.cluster.kubectl("patch", "node", "node-1", "--subresource=status", "--type=merge", "-p", status)

    def stop(self) -> None:
        """End everything."""
        self.end_kube_proxy()
        self.cluster.stop()

    def start_kube_proxy(self, mode: str) -> None:
        """Start kube-proxy in one of its modes, masquerading everything."""
        self.mode = mode
        flags = {
            "kubeconfig": self.cluster.kubeconfig,
            "proxy-mode": mode,
            "hostname-override": "node-1",
            "masquerade-all": "true",
            "conntrack-max-per-core": 0,
            "conntrack-tcp-timeout-established": 0,
            "conntrack-tcp-timeout-close-wait": 0,
            "iptables-min-sync-period": "100ms",
        }
        words = [f"--{flag}={value}" for flag, value in flags.items()]
        self._kube_proxy = Child([*self._prefix, self.cluster.programs / "kube-proxy", *words], self.log)

    @property
    def log(self) -> Path:
        """Where kube-proxy writes."""
        return self._folder / "kube-proxy.log"

    def end_kube_proxy(self) -> None:
        """End kube-proxy; its rules stay."""
        if self._kube_proxy is not None:
            self._kube_proxy.kill()
            self._kube_proxy = None

    def remove_kube_proxy(self) -> None:
        """End kube-proxy and remove its rules."""
        self.end_kube_proxy()
        self.network.run("node", f"{self.cluster.programs / 'kube-proxy'} --cleanup || true")

    def put(self, *manifests: Manifest) -> None:
        """Write objects, and the status of those that have one."""
        self.cluster.apply(*manifests)
        with_status = [manifest for manifest in manifests if "status" in manifest]
        if with_status:
            self.cluster.apply(*with_status, status=True)

    def eventually(self, look: Any, what: str) -> None:
        """Wait for what kube-proxy does."""

        def alive_and_so() -> Any:
            if self._kube_proxy is not None:
                self._kube_proxy.require_alive()
            return look()

        eventually(alive_and_so, within=PRESENT_SECONDS, every=0.1, what=what)


@contextmanager
def cluster_node(programs: Path, folder: Path) -> Iterator[Node]:
    """Build a network, start an API in it, and remove both at the end."""
    with network() as net, ExitStack() as ending:
        node = Node(net, programs, folder)
        ending.callback(node.stop)
        node.start()
        yield node


def service(name: str, addresses: tuple[str, str], node_port: int, *, load_balancer: bool = False) -> Manifest:
    """Return a Service without a selector, in both families."""
    four, six = FAMILIES[4], FAMILIES[6]
    made: Manifest = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "type": "LoadBalancer" if load_balancer else "NodePort",
            "ipFamilyPolicy": "RequireDualStack",
            "clusterIP": addresses[0],
            "clusterIPs": list(addresses),
            "ports": [{"name": "http", "port": 80, "nodePort": node_port}],
        },
    }
    if load_balancer:
        made["status"] = {"loadBalancer": {"ingress": [{"ip": four.load_balancer}, {"ip": six.load_balancer}]}}
    return made


def ingress_service() -> Manifest:
    """Return the Service that nodegate makes for an Ingress, with the addresses that are tested."""
    four, six = FAMILIES[4], FAMILIES[6]
    return service("nodegate-web", (four.cluster_ip, six.cluster_ip), NODE_PORT, load_balancer=True)


def pod_slices(service_name: str) -> list[Manifest]:
    """Return the EndpointSlices of a Service whose only Pod is the second one of this node."""
    return [_slice(service_name, family, FAMILIES[family].pod, POD_PORT) for family in FAMILIES]


def dummy_slices(service_name: str) -> list[Manifest]:
    """Return EndpointSlices that lead nowhere, with the addresses that nodegate gives them."""
    four = _slice(service_name, 4, DUMMY_ADDRESS, DUMMY_PORT)
    return [four, _slice(service_name, 6, DUMMY_ADDRESS_IPV6, DUMMY_PORT)]


def _slice(service_name: str, family: int, address: str, port: int) -> Manifest:
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"{service_name}-{family}",
            "namespace": "default",
            "labels": {"kubernetes.io/service-name": service_name},
        },
        "addressType": f"IPv{family}",
        "ports": [{"name": "http", "port": port}],
        "endpoints": [{"addresses": [address], "nodeName": "node-1"}],
    }
