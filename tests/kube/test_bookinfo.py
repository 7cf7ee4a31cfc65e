"""The whole of nodegate with the example that everybody knows: what kubectl shows, and what clients of a node get."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from nodegate.bootstrap import BootstrapSettings, bootstrap
from nodegate.demo.envoy_process import envoy_command
from nodegate.settings import TcpAddress, UnixAddress
from nodegate_redirect.ebpf import pins
from tests.e2e.rig.fetching import Answer, fetch
from tests.e2e.rig.processes import Child, python
from tests.e2e.rig.waiting import eventually
from tests.kube.cluster import Cluster
from tests.kube.control_plane import ControlPlane
from tests.kube.manifests import ingress, node, pod, running
from tests.kube.stage import MANIFESTS, envoy_binary
from tests.redirect.conftest import require_redirect
from tests.redirect.rig.namespaces import ADDRESSES, Network, network
from tests.redirect.rig.world import PINS
from tools import bpf

EXAMPLE = MANIFESTS.parent.parent / "examples" / "bookinfo"
NODE = "node-bookinfo"
PODS = {"details": "pod1", "productpage": "pod2"}
"""Service -> the network namespace in which its Pod runs."""

MODES = ("ebpf", "nftables", "iptables")

soon = partial(eventually, within=30.0)


def _address(where: str, device: str = "eth0") -> str:
    return ADDRESSES[where, device][0].partition("/")[0]


class Machine:
    """A node and a client outside, in network namespaces; the control plane is reached by a Unix socket."""

    def __init__(self, network: Network, folder: Path, stack: ExitStack) -> None:
        self._network, self._folder, self._stack = network, folder, stack
        self.xds = UnixAddress(f"{folder}/xds.sock")

    def run(self, where: str, command: Sequence[str | Path], name: str) -> Child:
        """Run a program in one namespace until the end."""
        enter = ["nsenter", f"--net={self._network.path(where)}"]
        child = Child([*enter, *command], self._folder / f"{name}.log")
        self._stack.callback(child.kill)
        return child

    def fetch(self, where: str, url: str) -> Answer:
        """Ask for a page from one namespace."""
        return self._network.inside(where, partial(fetch, url))

    def start_pods(self) -> None:
        """Start the two programs that the Deployments of kind/ run, each in a Pod's namespace."""
        for one in yaml.safe_load_all((MANIFESTS.parent / "bookinfo.yaml").read_text()):
            (container,) = one["spec"]["template"]["spec"]["containers"]
            words = [*container["command"], *container["args"]]
            self.run(PODS[container["name"]], [sys.executable, *words[1:]], container["name"])

    def start_envoy(self, binary: Path) -> None:
        """Start what ``nodegate bootstrap --redirect`` is for."""
        settings = BootstrapSettings(
            xds_address=self.xds, node_name=NODE, admin_address=TcpAddress("127.0.0.1", 9901), redirect=True
        )
        command = envoy_command(binary, bootstrap(settings), "--log-level", "warning")
        self.run("node", [*_confined("envoy"), *command], "envoy")

    def start_agent(self, mode: str) -> None:
        """Start the agent, with a bpffs that is there already, as its DaemonSet has the node's."""
        bpf.build()
        pins.ensure(PINS)
        self._stack.callback(pins.remove, PINS)
        flags = [f"--mode={mode}", f"--xds-address={self.xds}", f"--node-name={NODE}", f"--bpf-folder={PINS}"]
        self.run("node", [*_confined("agent"), *python("nodegate", "agent", *flags)], "agent")


def _confined(name: str) -> list[str]:
    """Return what runs a program as root with the capabilities of its DaemonSet and no others, as a container has."""
    owner = next(
        one for one in yaml.safe_load_all((MANIFESTS / f"{name}.yaml").read_text()) if one["kind"] == "DaemonSet"
    )
    (container,) = owner["spec"]["template"]["spec"]["containers"]
    added = [f"+{one.lower()}" for one in container["securityContext"]["capabilities"]["add"]]
    return ["setpriv", "--no-new-privs", "--inh-caps=-all", f"--bounding-set={','.join(['-all', *added])}"]


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    """Return a node in network namespaces of its own."""
    require_redirect()
    with network() as made, ExitStack() as stack:
        yield Machine(made, tmp_path, stack)


@pytest.fixture
def plane(account: Path, machine: Machine, tmp_path: Path) -> Iterator[ControlPlane]:
    """Return a control plane under the rules of the manifests."""
    plane = ControlPlane(account, tmp_path / "nodegate.log", "--state-dir", str(tmp_path / "state"))
    plane.xds_address = str(machine.xds)
    plane.start()
    try:
        yield plane
    finally:
        plane.stop()
    assert "403 Forbidden" not in plane.log()


@pytest.fixture
def example(cluster: Cluster) -> Iterator[None]:
    """Apply the example as its documentation says, with Pods as a kubelet would report them; remove it afterwards."""
    cluster.kubectl("apply", "-f", str(EXAMPLE))
    made = node(NODE, _address("node"))
    cluster.apply(made)
    cluster.apply(made, status=True)
    for app, where in PODS.items():
        cluster.apply(pod("default", f"{app}-1", app, NODE))
        cluster.apply(running("default", f"{app}-1", _address(where)), status=True)
    yield
    cluster.kubectl("delete", "ingress", "--all", "-n", "default")
    cluster.kubectl("delete", "pod", "--all", "-n", "default", "--force", "--grace-period=0")
    cluster.kubectl("delete", "-f", str(EXAMPLE / "services.yaml"))
    cluster.kubectl("delete", "node", NODE)
    # The class stays, as it is the manifests' too: but not with this note, of which they would be warned.
    cluster.kubectl("annotate", "ingressclass", "--all", "kubectl.kubernetes.io/last-applied-configuration-")


@pytest.mark.timeout(120)
@pytest.mark.parametrize("mode", ["auto", *(pytest.param(mode, marks=pytest.mark.full) for mode in MODES)])
def test_bookinfo_from_kubectl_apply_to_a_client_outside(
    cluster: Cluster, plane: ControlPlane, machine: Machine, example: None, mode: str
) -> None:
    """``kubectl apply``, an answer of Envoy, an address once Envoy has it, an Event for what is wrong."""
    machine.start_pods()
    line = soon(lambda: cluster.kubectl(*_get("service", "nodegate-basic-ingress"), "--no-headers"), what="the Service")
    shown = re.fullmatch(r"nodegate-basic-ingress +LoadBalancer +(10\.103\.\S+) +<pending> +80:(3\d{4})/TCP .*\n", line)
    assert shown, line
    cluster_ip, node_port = shown.groups()

    # No proxy yet, no address yet; then Envoy comes, and both are there.
    port = soon(lambda: plane.debug("")["listeners"].get("default/basic-ingress/http"), what="a listener")
    assert _addresses(cluster) == []
    machine.start_envoy(envoy_binary())
    book = soon(lambda: _book(machine, "node", f"127.0.0.1:{port}"), what="an answer of Envoy")
    assert book["author"] == "William Shakespeare"
    soon(lambda: _address("node") in _addresses(cluster), what="the address")
    assert _address("node") in cluster.kubectl(*_get("ingress", "basic-ingress"))

    # With the agent, a client outside needs to know nothing but what kubectl shows.
    machine.start_agent(mode)
    assert soon(lambda: _book(machine, "client", cluster_ip), what="an answer at the ClusterIP") == book
    assert soon(lambda: _book(machine, "client", f"{_address('node')}:{node_port}"), what="one at the NodePort") == book
    assert "Simple Bookstore" in machine.fetch("client", f"http://{cluster_ip}/productpage").body

    # What is wrong is said where people look, and takes nothing from the others.
    cluster.apply(ingress("default", "broken", {"/": "missing"}, class_name="nodegate"))
    described = ("describe", "ingress", "broken", "-n", "default")
    soon(lambda: re.search(r"Warning +ServiceNotFound .*nodegate", cluster.kubectl(*described)), what="the Event")
    assert _book(machine, "client", cluster_ip) == book
    # kubectl made the example's Ingress before its Services: nobody has to read of that afterwards.
    assert "ServiceNotFound" not in cluster.kubectl("describe", "ingress", "basic-ingress", "-n", "default")


def _get(kind: str, name: str) -> tuple[str, ...]:
    return ("get", kind, name, "-n", "default", "--ignore-not-found")


def _addresses(cluster: Cluster) -> list[str]:
    """Return the addresses of the Ingress as ``kubectl get ingress`` shows them."""
    return cluster.kubectl(
        *_get("ingress", "basic-ingress"), "-o=jsonpath={.status.loadBalancer.ingress[*].ip}"
    ).split()


def _book(machine: Machine, where: str, address: str) -> dict[str, Any]:
    answer = machine.fetch(where, f"http://{address}/details/1")
    assert answer.status == 200, answer
    decoded: dict[str, Any] = answer.json()
    return decoded
