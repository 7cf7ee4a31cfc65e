"""Who is measured: a control plane and the Envoy that it serves, each started as its own documentation says."""

from __future__ import annotations

import json
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from bench.driver import BenchError, Memory
from bench.kubernetes.contour import VERSION, contour
from bench.kubernetes.installed import nodegate
from bench.kubernetes.objects import CLASS
from nodegate.bootstrap import BootstrapSettings, bootstrap
from nodegate.demo.envoy_binary import ENVIRONMENT, cached_envoy
from nodegate.demo.envoy_process import envoy_command
from nodegate.ports import PortRange
from nodegate.settings import parse_address, parse_tcp
from tests.e2e.rig.processes import Child

NODEGATE, DEDICATED, CONTOUR = "nodegate", "dedicated", "contour"


class Server(ABC):
    """One control plane. :meth:`start` starts it, :meth:`start_envoy` an Envoy of its own."""

    title: ClassVar[str]
    variant: ClassVar[str]
    """The variant of the protocol that its own bootstrap uses."""
    xds_port: ClassVar[int]
    http_port: ClassVar[int]

    def __init__(self, kubeconfig: Path, folder: Path) -> None:
        self._kubeconfig, self._folder = kubeconfig, folder
        self._children: list[Child] = []
        self._process: Child | None = None

    @property
    def xds_address(self) -> str:
        """Where its clients connect."""
        return f"127.0.0.1:{self.xds_port}"

    def start(self) -> None:
        """Start the control plane; it may not listen yet when this returns."""
        self._process = self._child(self.command(), "server")

    def start_envoy(self) -> None:
        """Start an Envoy of the control plane, which has to listen."""
        binary = cached_envoy()
        if binary is None:
            raise BenchError(f"There is no Envoy: run `python -m nodegate.demo.envoy_binary`, or set {ENVIRONMENT}.")
        self._child(envoy_command(binary, self.bootstrap(), *self.envoy_flags(), "--log-level", "error"), "envoy")

    def stop(self) -> None:
        """End everything, by force: nobody waits for what is drained."""
        for child in reversed(self._children):
            child.kill()
        self._children.clear()

    def memory(self) -> Memory:
        """Return the resident memory of the control plane."""
        assert self._process is not None
        self._process.require_alive()
        lines = Path(f"/proc/{self._process.pid}/status").read_text().splitlines()
        sizes = {line.split(":")[0]: line.split()[1] for line in lines if line.startswith(("VmRSS", "VmHWM"))}
        return Memory(int(sizes["VmRSS"]) * 1024 / 1e6, int(sizes["VmHWM"]) * 1024 / 1e6)

    @abstractmethod
    def command(self) -> Sequence[str | Path]:
        """Return the command line of the control plane."""

    @abstractmethod
    def bootstrap(self) -> Mapping[str, Any]:
        """Return what its Envoy is started with."""

    def envoy_flags(self) -> Sequence[str]:
        """Return what its Envoy is told on the command line besides."""
        return ()

    def entrance(self, namespace: str, ingress: str) -> str:  # noqa: ARG002  # it is the same listener for all
        """Return where its Envoy serves an Ingress, HOST:PORT."""
        return f"127.0.0.1:{self.http_port}"

    @abstractmethod
    def assignment(self, namespace: str, service: str) -> str:
        """Return the name of the ClusterLoadAssignment of a Service."""

    def _child(self, command: Sequence[str | Path], name: str) -> Child:
        child = Child(command, self._folder / f"{name}.log")
        self._children.append(child)
        return child


class Nodegate(Server):
    """nodegate with listeners that all Ingresses share, as Contour's are."""

    title = "nodegate"
    variant = "delta"
    xds_port = 18001
    http_port = 18080

    def command(self) -> Sequence[str | Path]:
        """Follow the cluster, with one listener on a port of the node."""
        addresses = ["--xds-address", self.xds_address, "--http-address", "127.0.0.1:18002"]
        addresses += ["--debug-address", "127.0.0.1:18003"]
        source = ["--source", "kubernetes", "--kubeconfig", str(self._kubeconfig)]
        return nodegate("serve", *source, *addresses, *self.listeners(), "--log-level", "warning")

    def listeners(self) -> Sequence[str]:
        """Return the flags that decide which listeners there are."""
        return ["--expose", "host", "--http-port", str(self.http_port), "--https-port", "18443"]

    def bootstrap(self) -> Mapping[str, Any]:
        """Return what ``nodegate bootstrap`` prints."""
        return bootstrap(
            BootstrapSettings(
                xds_address=parse_address(self.xds_address, "xds"),
                node_name="node-1",
                admin_address=parse_tcp("127.0.0.1:18004", "admin"),
            )
        )

    def assignment(self, namespace: str, service: str) -> str:
        """Return its name: the port by its number (DESIGN 5)."""
        return f"{namespace}/{service}/80"


class Contour(Server):
    """Contour without TLS to its Envoy, as nodegate here, and without the other replicas that it could have."""

    title = f"Contour {VERSION}"
    variant = "sotw"
    xds_port = 28001
    http_port = 28080

    def command(self) -> Sequence[str | Path]:
        """Serve Ingresses of our class; its CRDs have to exist."""
        flags = {
            "kubeconfig": self._kubeconfig,
            "xds-address": "127.0.0.1",
            "xds-port": self.xds_port,
            "ingress-class-name": CLASS,
            "envoy-service-http-address": "127.0.0.1",
            "envoy-service-http-port": self.http_port,
            "envoy-service-https-port": 28443,
            "stats-port": 28002,
            "http-port": 28003,
            "health-port": 28003,
            "debug-http-port": 28004,
            "envoy-http-access-log": "/dev/null",
        }
        words = [f"--{name}={value}" for name, value in flags.items()]
        return [contour().program, "serve", *words, "--insecure", "--disable-leader-election"]

    def bootstrap(self) -> Mapping[str, Any]:
        """Return what ``contour bootstrap`` writes."""
        file = self._folder / "bootstrap.json"
        words = [f"--admin-address={self._folder}/admin", "--xds-address=127.0.0.1", f"--xds-port={self.xds_port}"]
        subprocess.run([contour().program, "bootstrap", file, *words], check=True, stdout=subprocess.DEVNULL)
        decoded: Mapping[str, Any] = json.loads(file.read_text())
        return decoded

    def envoy_flags(self) -> Sequence[str]:
        """Return what its manifests tell Envoy."""
        return ("--service-cluster", "projectcontour", "--service-node", "envoy-1")

    def assignment(self, namespace: str, service: str) -> str:
        """Return its name: the port by its name."""
        return f"{namespace}/{service}/http"


class Dedicated(Nodegate):
    """nodegate with a listener for each Ingress: its port is claimed in the cluster before the listener exists."""

    title = "nodegate, dedicated listeners"

    def listeners(self) -> Sequence[str]:
        """Return the flags that decide which listeners there are."""
        return ["--listener-mode", "dedicated"]

    def entrance(self, namespace: str, ingress: str) -> str:
        """Return the port that the listener claims; one that another has taken is as good as never with these few."""
        port = next(iter(PortRange().probe(f"{namespace}/{ingress}/http")))
        return f"127.0.0.1:{port}"


SERVERS: Mapping[str, type[Server]] = {NODEGATE: Nodegate, DEDICATED: Dedicated, CONTOUR: Contour}
