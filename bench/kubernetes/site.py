"""What all turns of a run share: the API, whoever changes objects in it, and those objects that never change."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench.driver import BenchError, Process, running
from bench.golang import programs
from bench.kubernetes import objects
from bench.kubernetes.contour import contour
from bench.kubernetes.objects import CLASS, Call
from bench.kubernetes.servers import Server
from tests.kube.cluster import Cluster
from tests.kube.manifests import ingress_class
from tools.kubernetes import assets

OTHERS = "others"
NODEGATE_NAMESPACE = "nodegate-system"
"""Where the Lease of nodegate's replicas is."""
APP = "app"
ENDPOINTS = 10
_AT_ONCE = 8
_PART = 900
_TIMEOUT_S = 30.0


class Site:
    """A running API server, and ``traffic``: the process that changes objects, asks Envoys and answers them."""

    def __init__(self, cluster: Cluster, traffic: Process, folder: Path) -> None:
        self.cluster, self.traffic = cluster, traffic
        self._folder = folder
        self._turns = count(1)
        self._backends = count(60_000)
        self._others = 0

    def other(self, number: int) -> str:
        """Return the name of an object that only has to be there."""
        return f"other-{number:05d}"

    def new_backend(self) -> str:
        """Return the address of a backend that nobody has named yet; there are 5,000."""
        return objects.backend(next(self._backends))

    def fill(self, services: int) -> None:
        """Let there be so many Services that nobody asks for, each with 10 endpoints and an Ingress."""
        calls: list[Call] = []
        for number in range(self._others, services):
            name, first = self.other(number), ENDPOINTS * number
            calls += objects.create_service(OTHERS, name, [objects.backend(first + i) for i in range(ENDPOINTS)])
            calls.append(objects.create_ingress(OTHERS, name, name))
        if calls:
            print(f"Making {len(calls)} objects ...", file=sys.stderr, flush=True)
        for begin in range(0, len(calls), _PART):
            self.send(calls[begin : begin + _PART], parallel=_AT_ONCE)
        self._others = max(self._others, services)

    def send(self, calls: Sequence[Call], *, parallel: int = 1) -> dict[str, Any]:
        """Make calls to the API, one after the other by default; return when they began and ended."""
        return self.traffic.tell("send", calls=list(calls), parallel=parallel)

    @contextmanager
    def turn(self, server: type[Server]) -> Iterator[Turn]:
        """Let one control plane have the machine; what it leaves in the API is removed."""
        number = next(self._turns)
        folder = self._folder / f"turn-{number}"
        folder.mkdir()
        turn = Turn(self, server(self.cluster.kubeconfig, folder), f"turn-{number}")
        self.send([objects.create_namespace(turn.namespace)])
        try:
            yield turn
        finally:
            turn.server.stop()
            self.send(objects.delete_everything(turn.namespace))


class Turn:
    """One control plane, and a namespace of its own with an Ingress ``app`` of a Service ``app``."""

    def __init__(self, site: Site, server: Server, namespace: str) -> None:
        self.site, self.server, self.namespace = site, server, namespace

    @property
    def host(self) -> str:
        """The host of ``app``."""
        return objects.host(APP)

    @property
    def entrance(self) -> str:
        """Where ``app`` is served."""
        return self.server.entrance(self.namespace, APP)

    def start_serving(self) -> None:
        """Start the control plane with an Envoy, and wait until ``app`` is answered by backend 0."""
        calls = objects.create_service(self.namespace, APP, [objects.backend(0)])
        self.site.send([*calls, objects.create_ingress(self.namespace, APP, APP)])
        self.server.start()
        self.server.start_envoy()
        self.until([], want=objects.backend(0))

    def until(self, calls: Sequence[Call], *, want: str, ingress: str = APP) -> float:
        """Make calls; return the milliseconds from the first until a backend answers for an Ingress."""
        found = self.site.traffic.tell(
            "until",
            calls=list(calls),
            address=self.server.entrance(self.namespace, ingress),
            host=objects.host(ingress),
            want=want,
            timeout_s=_TIMEOUT_S,
        )
        if not found["answered_ns"]:
            raise BenchError(f"{self.server.title}: {want} did not answer for {ingress} in {_TIMEOUT_S:g} s.")
        return float(found["answered_ns"] - found["sent_ns"]) / 1e6


@contextmanager
def running_site() -> Iterator[Site]:
    """Start everything that is not measured; it ends with the block."""
    with TemporaryDirectory(prefix="nodegate-bench-") as name, ExitStack() as ending:
        cluster = Cluster(assets(), Path(name))
        ending.callback(cluster.stop)
        cluster.start()
        cluster.apply(ingress_class(CLASS))
        cluster.kubectl("apply", "--server-side", "-f", str(contour().crds))
        traffic = Process([str(programs() / "traffic")])
        ending.enter_context(running(traffic))
        traffic.tell("backends", port=str(objects.BACKEND_PORT))
        keys = cluster.admin
        traffic.tell(
            "connect",
            server=cluster.server,
            authority=str(cluster.pki.authority),
            certificate=str(keys.certificate),
            key=str(keys.key),
        )
        site = Site(cluster, traffic, Path(name))
        site.send([objects.create_namespace(name) for name in (OTHERS, NODEGATE_NAMESPACE)])
        yield site
