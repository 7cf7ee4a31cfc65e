"""One server and its clients, and the measurements that scenarios are made of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from bench import servers
from bench.driver import BenchError, Process, ServerProcess, running
from bench.resources import Body, write

TIMEOUT_S = 120.0


@dataclass(frozen=True, slots=True)
class Subscription:
    """What every client wants of one type: ``names`` round robin, or everything; ``expect`` resources at first."""

    type_url: str
    expect: int
    names: Sequence[Sequence[str]] = ()

    def plan(self) -> dict[str, Any]:
        """Return it as the load generator reads it."""
        return {"type_url": self.type_url, "expect": self.expect, "names": [list(some) for some in self.names]}


@dataclass(frozen=True, slots=True)
class Clients:
    """So many Envoys of one kind, each with a connection of its own."""

    variant: str
    streams: int
    subscriptions: Sequence[Subscription]
    keep_versions: bool = False
    prefix: str = "node-"


@dataclass(frozen=True, slots=True)
class Change:
    """What one change cost: milliseconds to each client's socket, CPU seconds and highest memory of the server."""

    latencies_ms: Sequence[float]
    cpu_s: float
    peak_mb: float


class Trial:
    """A running server, a folder for its resource files, and any number of client processes."""

    def __init__(self, server: ServerProcess, folder: Path, children: ExitStack) -> None:
        self.server = server
        self._folder = folder
        self._children = children

    def connect(self, clients: Clients) -> Process:
        """Start clients and wait until each has its initial state."""
        load = servers.start_load()
        self._children.enter_context(running(load))
        report = load.tell(
            "open",
            address=self.server.address,
            variant=clients.variant,
            streams=clients.streams,
            connections=clients.streams,
            subscriptions=[one.plan() for one in clients.subscriptions],
            keep_versions=clients.keep_versions,
            prefix=clients.prefix,
            timeout_s=TIMEOUT_S,
        )
        _insist_complete(report, "their initial state")
        return load

    def change(self, load: Process, bodies: Sequence[Body]) -> Change:
        """Change resources of one type and measure until every client has them and the server is idle again."""
        before = self._arm(load, bodies)
        start_ns = self.server.tell("apply")["start_ns"]
        report = load.tell("arrivals")
        _insist_complete(report, "the change")
        cpu_s = self.server.settled_cpu_s() - before
        latencies = [(at - start_ns) / 1e6 for at in report["arrivals_ns"]]
        return Change(latencies, cpu_s, self.server.memory().peak_mb)

    def _arm(self, load: Process, bodies: Sequence[Body]) -> float:
        """Prepare for a change and return the CPU seconds that the idle server has used so far."""
        self.server.tell("prepare", path=str(write(self._folder / "change", bodies)))
        load.tell("arm", type_url=bodies[0].type_url, resources=len(bodies))
        self.server.forget_peak()
        return self.server.settled_cpu_s()


@contextmanager
def trial(server: str, resources: Iterable[Body]) -> Iterator[Trial]:
    """Start a server with these resources; everything ends with the block."""
    with TemporaryDirectory(prefix="nodegate-bench-") as name, ExitStack() as children:
        folder = Path(name)
        process = servers.start(server, write(folder / "initial", resources))
        children.enter_context(running(process))
        yield Trial(process, folder, children)


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the smallest value that at least ``percent`` of all do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * percent // 100).__int__() - 1)]


def change_figures(changes: Sequence[Change]) -> dict[str, float]:
    """Return the medians over several changes of their p50, p99, CPU and memory."""
    return {
        "p50_ms": median(percentile(change.latencies_ms, 50) for change in changes),
        "p99_ms": median(percentile(change.latencies_ms, 99) for change in changes),
        "cpu_s": median(change.cpu_s for change in changes),
        "peak_mb": median(change.peak_mb for change in changes),
    }


def _insist_complete(report: dict[str, Any], of_what: str) -> None:
    if report.get("failure"):
        raise BenchError(f"A client's stream ended: {report['failure']}")
    if report["incomplete"]:
        raise BenchError(f"{report['incomplete']} clients did not get {of_what} in {TIMEOUT_S:.0f} s.")
