"""One nodegate with one Envoy's stream that has everything, and what happens to it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench.driver import BenchError, Process, ServerProcess, running
from bench.ingress import world
from bench.servers import start_load
from bench.trial import Subscription
from nodegate.snapshot.type_urls import CLUSTER, ENDPOINT, LISTENER, ROUTE

DEDICATED, SHARED = "dedicated", "shared"
_TIMEOUT_S = 120.0


@dataclass(frozen=True, slots=True)
class Cold:
    """A start from nothing: seconds until the client has everything, CPU seconds and memory of the server."""

    seconds: float
    cpu_s: float
    now_mb: float
    peak_mb: float


class Trial:
    """A running server with ``size`` Services and Ingresses, and a client."""

    def __init__(self, mode: str, size: int, server: ServerProcess, load: Process, folder: Path) -> None:
        self._mode, self._size = mode, size
        self._server, self._load = server, load
        self._file = folder / "change.json"

    def start(self) -> Cold:
        """Hand in all objects at once, and wait until the client has all that is made of them."""
        self._prepare({"all": self._size})
        self._server.forget_peak()
        before = self._server.cpu_s()
        with ThreadPoolExecutor(1) as pool:
            opening = pool.submit(self._open)
            began = self._server.tell("apply")["start_ns"]
            seconds = (_arrived(opening.result()) - began) / 1e9
        cpu_s = self._server.settled_cpu_s() - before
        memory = self._server.memory()
        return Cold(seconds, cpu_s, memory.now_mb, memory.peak_mb)

    def change(self, kind: str, number: int, generation: int, expected: str) -> float:
        """Change one object; return the milliseconds until the client has a resource of the type that follows."""
        self._prepare({"kind": kind, "number": number, "generation": generation})
        self._load.tell("arm", type_url=expected, resources=1)
        began = self._server.tell("apply")["start_ns"]
        return float(_arrived(self._load.tell("arrivals")) - began) / 1e6

    def _prepare(self, what: Mapping[str, Any]) -> None:
        self._file.write_text(json.dumps(what))
        self._server.tell("prepare", path=str(self._file))

    def _open(self) -> dict[str, Any]:
        return self._load.tell(
            "open",
            address=self._server.address,
            variant="delta",
            streams=1,
            connections=1,
            subscriptions=[one.plan() for one in self._everything()],
            prefix="node-",
            timeout_s=_TIMEOUT_S,
            **{"await": True},
        )

    def _everything(self) -> Sequence[Subscription]:
        """Return what an Envoy asks for: clusters and listeners, and by name what these name."""
        clusters = [world.cluster(number) for number in range(self._size)]
        if self._mode == SHARED:
            routes, listeners = ["shared/http", "shared/https"], 2
        else:
            routes, listeners = [world.route(number) for number in range(self._size)], self._size
        return [
            Subscription(CLUSTER, self._size),
            Subscription(ENDPOINT, self._size, [clusters]),
            Subscription(LISTENER, listeners),
            Subscription(ROUTE, len(routes), [routes]),
        ]


@contextmanager
def trial(mode: str, size: int, quiet_s: float | None = None) -> Iterator[Trial]:
    """Start a server with nothing in it; ``quiet_s`` is its hold-off, if not the usual one."""
    command = [sys.executable, "-m", "bench.ingress.server", mode, *([] if quiet_s is None else [str(quiet_s)])]
    with (
        TemporaryDirectory(prefix="nodegate-bench-") as folder,
        running(ServerProcess(command)) as server,
        running(start_load()) as load,
    ):
        yield Trial(mode, size, server, load, Path(folder))


def _arrived(report: Mapping[str, Any]) -> int:
    if report.get("failure") or report["incomplete"]:
        raise BenchError(f"The client did not get what it waits for: {report}")
    return int(report["arrivals_ns"][0])
