"""All of nodegate on one node: a control plane on a folder, a real Envoy and a real agent, each a process of its own.

They talk through Unix sockets, so the control plane is outside the node's network, as in a cluster. The Ingress ``web``
is answered by the backend ``pod`` in the second pod; its Service has every kind of frontend.
"""

from __future__ import annotations

import http.client
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nodegate.bootstrap import BootstrapSettings, bootstrap
from nodegate.demo.envoy_process import envoy_command
from nodegate.settings import TcpAddress, parse_address
from nodegate_redirect.contract import Place
from nodegate_redirect.mode import Count, Mode
from tests.e2e.rig.control_plane import ControlPlane
from tests.e2e.rig.fetching import Answer, fetch
from tests.e2e.rig.load import Load
from tests.e2e.rig.load import Plan as LoadPlan
from tests.e2e.rig.manifests import Folder, Manifest, endpoint_slice, ingress, ingress_class
from tests.e2e.rig.manifests import service as plain_service
from tests.e2e.rig.processes import Child, python
from tests.e2e.rig.waiting import eventually
from tests.redirect.rig.kernel import kernel_of
from tests.redirect.rig.kube_proxy import FAMILIES, NODE_PORT, POD_PORT
from tests.redirect.rig.namespaces import Network, network
from tests.redirect.rig.world import KUBE_PROXIES, MODES, PINS, forget_pins

NAMESPACE = "default"
POD = "pod"
_ADMIN, _AGENT_HTTP, _AGENT_DEBUG = 9901, 9904, 9905
_PATIENCE = 30.0
_ENVOY_FLAGS = ("--drain-time-s", "2", "--log-level", "error", "--file-flush-interval-msec", "20")


@dataclass(frozen=True, slots=True)
class Request:
    """One request and what became of it: ``own`` is the client's address, ``logged`` what Envoy wrote about it."""

    status: int
    body: str
    own: str
    logged: dict[str, Any]


class Stack:
    """The processes of one node. ``agent_flags`` say which mode, and ``mode`` reads what it holds.

    Everything ends with ``stack``.
    """

    def __init__(
        self, network: Network, folder: Path, envoy: Path, agent_flags: Sequence[str], mode: Mode, stack: ExitStack
    ) -> None:
        self.network, self.folder, self.mode = network, folder, mode
        self._envoy_binary, self._agent_flags, self._stack = envoy, list(agent_flags), stack
        self._numbers = itertools.count()
        self.manifests = Folder(folder / "manifests")
        self.manifests.put(ingress_class(), ingress(NAMESPACE, "web", {"/": POD}), ingress_service())
        self.manifests.put(plain_service(NAMESPACE, POD), pod_endpoints())
        self.planes = [self._control_plane(number) for number in range(1)]
        self.before = kernel_of(network)
        self.envoy: Child
        self.agent: Child

    # --- its parts ---

    def start(self) -> None:
        """Start everything and wait until the agent holds all redirects."""
        self._in("pod2", backend_command(), "backend")
        self.planes[0].start()
        self._stack.callback(self.planes[0].stop)
        self.start_envoy()
        self.start_agent()
        self.wait_until_installed()

    def add_control_plane(self) -> ControlPlane:
        """Start one more replica on the same folder."""
        made = self._control_plane(len(self.planes))
        made.start()
        self._stack.callback(made.stop)
        self.planes.append(made)
        return made

    def start_envoy(self) -> None:
        """Start Envoy and wait until it has all its configuration."""
        settings = BootstrapSettings(
            xds_address=parse_address(self.planes[0].xds_address, "xds"),
            node_name="node-1",
            admin_address=TcpAddress("127.0.0.1", _ADMIN),
            redirect=True,
        )
        command = envoy_command(self._envoy_binary, bootstrap(settings), *_ENVOY_FLAGS)
        self.envoy = self._in("node", command, "envoy")
        self.eventually(self.ports, what="listeners in Envoy")

    def start_agent(self, plane: ControlPlane | None = None, *more: str) -> None:
        """Start the agent; it is not waited for."""
        flags = {
            "--xds-address": (plane or self.planes[-1]).xds_address,
            "--node-name": "node-1",
            "--http-address": f"127.0.0.1:{_AGENT_HTTP}",
            "--debug-address": f"127.0.0.1:{_AGENT_DEBUG}",
            "--state-dir": str(self.folder / "agent"),
        }
        words = [word for flag in flags.items() for word in flag] + self._agent_flags
        self.agent = self._in("node", python("nodegate", "agent", *words, *more), "agent")

    def counted(self) -> Mapping[Place, Count]:
        """Return what the kernel counted for each place that it redirects."""
        return self.network.inside("node", self.mode.counters)

    def start_agent_of_another_node(self, where: str) -> None:
        """Start the agent of a second node in another namespace."""
        flags = ["--xds-address", self.planes[0].xds_address, "--node-name", "node-2", "--mode", "nftables"]
        self._in(where, python("nodegate", "agent", *flags, "--state-dir", str(self.folder / "agent-2")), "agent-2")

    def clean_up(self) -> None:
        """Run the agent's cleanup."""
        command = python("nodegate", "agent", "--cleanup", *self._agent_flags)
        done = self._in("node", command, "cleanup")
        assert done.process.wait(_PATIENCE) == 0, done.tail()

    def wait_until_installed(self) -> None:
        """Wait until the agent is ready and nothing waits any more."""

        def look() -> bool:
            self.agent.require_alive()
            assert self.agent_says("/readyz").status == 200, self.agent_says("/readyz").body
            assert self.metric("nodegate_agent_connected") == 1
            return self.metric("nodegate_redirects") > 0 and not self.metric("nodegate_agent_redirects_not_installed")

        self.eventually(look, what="redirects of the agent")

    def eventually(self, look: Any, *, what: str) -> Any:
        """Wait for something."""
        return eventually(look, within=_PATIENCE, every=0.05, what=what)

    # --- what is seen ---

    def ports(self) -> dict[str, int]:
        """Return the port of each listener that Envoy has."""
        listed = self._fetch(_ADMIN, "/listeners?format=json").json().get("listener_statuses", ())
        return {item["name"]: item["local_address"]["socket_address"]["port_value"] for item in listed}

    def agent_says(self, path: str) -> Answer:
        """Return one page of the agent."""
        return self._fetch(_AGENT_DEBUG if path.startswith("/debug") else _AGENT_HTTP, path)

    def metric(self, name: str) -> float:
        """Return a metric of the agent that has no labels."""
        lines = self.agent_says("/metrics").body.splitlines()
        return float(next(line for line in lines if line.startswith(f"{name} ")).rpartition(" ")[2])

    def ask(self, where: str, place: Place) -> Request:
        """Send one request on a connection of its own; what Envoy logged is empty when somebody else answered."""
        path = f"/{next(self._numbers)}/x"
        status, headers, body, own = self.network.inside(where, lambda: _get(place, path))
        logged = self._logged(path) if headers.get("server") == "envoy" else {}
        return Request(status, body, own, logged)

    def connect(self, where: str, place: Place) -> http.client.HTTPConnection:
        """Return a connection that can be asked again and again."""
        made = http.client.HTTPConnection(place.address, place.port, timeout=10)
        made.auto_open = 0
        self.network.inside(where, made.connect)
        self._stack.callback(made.close)
        return made

    def load(self, where: str, place: Place, *, rate: float = 100, **options: Any) -> Load:
        """Start constant load; every request has a connection of its own unless ``fresh`` is false."""
        host = f"[{place.address}]" if place.family == 6 else place.address
        plan = LoadPlan(f"http://{host}:{place.port}/load", rate, **{"fresh": True, **options})
        made = Load(plan, self.folder / "load.log", self._nsenter(where))
        self._stack.callback(made.stop)
        return made

    def _logged(self, path: str) -> dict[str, Any]:
        def look() -> dict[str, Any]:
            lines = self.envoy.log.read_text().splitlines()
            found = (line for line in reversed(lines) if f'"{path}"' in line)
            entry: dict[str, Any] = json.loads(next(found, "{}"))
            return entry

        return eventually(look, what=f"{path} in the access log")

    def _fetch(self, port: int, path: str) -> Answer:
        return self.network.inside("node", lambda: fetch(f"http://127.0.0.1:{port}{path}"))

    def _nsenter(self, where: str) -> list[str]:
        return ["nsenter", f"--net={self.network.path(where)}"]

    def _in(self, where: str, command: Sequence[str], name: str) -> Child:
        child = Child([*self._nsenter(where), *command], self.folder / f"{name}.log")
        self._stack.callback(child.kill)
        return child

    def _control_plane(self, number: int) -> ControlPlane:
        made = ControlPlane(
            self.folder / "manifests", self.folder / f"state-{number}", self.folder / f"control-plane-{number}.log"
        )
        made.xds_address = f"unix:{self.folder}/xds-{number}.sock"
        made.flags = ["--access-log", "--address-family", "dual"]
        return made


STACKS: Mapping[str, tuple[str, Sequence[str]]] = {
    "ebpf, kube-proxy iptables": ("kube-proxy iptables, endpoints", ("--mode", "ebpf")),
    "ebpf, kube-proxy nftables": ("kube-proxy nftables, endpoints", ("--mode", "ebpf")),
    "iptables-nft, kube-proxy iptables": (
        "kube-proxy iptables, endpoints",
        ("--mode", "iptables", "--iptables-backend", "nft"),
    ),
    "iptables-legacy, kube-proxy legacy": (
        "kube-proxy legacy, endpoints",
        ("--mode", "iptables", "--iptables-backend", "legacy"),
    ),
    "nftables, kube-proxy nftables": ("kube-proxy nftables, endpoints", ("--mode", "nftables")),
}
"""By name: what kube-proxy has there, and which mode the agent is told."""


@contextmanager
def stack(name: str, folder: Path, envoy: Path) -> Iterator[Stack]:
    """Build a node with somebody else's rules and everything of ours on it, start it, and remove it at the end."""
    kube_proxy, flags = STACKS[name]
    with network() as made, ExitStack() as ending:
        KUBE_PROXIES[kube_proxy](made)
        ending.callback(forget_pins)
        mode = made.inside("node", MODES[name.partition(",")[0]])
        node = Stack(made, folder, envoy, [*flags, "--bpf-folder", str(PINS)], mode, ending)
        node.start()
        yield node


def logs(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield the end of every log, with its name."""
    for file in sorted(folder.glob("*.log")):
        yield file.name, "\n".join(file.read_text(errors="replace").splitlines()[-20:])


def backend_command() -> list[str]:
    """Return the command of a backend in the second pod, on every address of both families."""
    return python("tests.redirect.rig.http_backend", str(POD_PORT), POD)


def ingress_service() -> Manifest:
    """Return the Service of the Ingress ``web``, with what a cluster would have put there."""
    four, six = FAMILIES[4], FAMILIES[6]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": "nodegate-web",
            "namespace": NAMESPACE,
            "annotations": {"nodegate.dev/ingress": "web"},
        },
        "spec": {
            "type": "LoadBalancer",
            "clusterIP": four.cluster_ip,
            "clusterIPs": [four.cluster_ip, six.cluster_ip],
            "ports": [{"name": "http", "port": 80, "nodePort": NODE_PORT}],
        },
        "status": {"loadBalancer": {"ingress": [{"ip": four.load_balancer}, {"ip": six.load_balancer}]}},
    }


def pod_endpoints() -> Manifest:
    """Return the EndpointSlice of the Service that the Ingress leads to."""
    return endpoint_slice(NAMESPACE, POD, [(FAMILIES[4].pod, POD_PORT)])


def _get(place: Place, path: str) -> tuple[int, dict[str, str], str, str]:
    connection = http.client.HTTPConnection(place.address, place.port, timeout=10)
    try:
        connection.connect()
        own = connection.sock.getsockname()[0]
        connection.request("GET", path, headers={"Host": "web.example"})
        answer = connection.getresponse()
        headers = {name.lower(): value for name, value in answer.getheaders()}
        return answer.status, headers, answer.read().decode(), own
    except http.client.HTTPException as error:
        raise ConnectionError(f"{place}: {error!r}") from error
    finally:
        connection.close()
