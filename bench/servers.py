"""What can be measured: each server is a program that takes a file of resources and obeys the control commands."""

from __future__ import annotations

import sys
from pathlib import Path

from bench.driver import Process, ServerProcess
from bench.golang import programs

FLOOR, NODEGATE, SNAPSHOT, LINEAR = "floor", "nodegate", "snapshot", "linear"

TITLES = {
    FLOOR: "floor (bare grpc.aio)",
    NODEGATE: "nodegate",
    SNAPSHOT: "go-control-plane SnapshotCache",
    LINEAR: "go-control-plane LinearCache",
}


def start(name: str, resources: Path) -> ServerProcess:
    """Start a server with these resources; it listens when this returns."""
    if name in {SNAPSHOT, LINEAR}:
        return ServerProcess([str(programs() / "peers"), name, str(resources)])
    module = {FLOOR: "bench.floor", NODEGATE: "bench.nodegate_server"}[name]
    return ServerProcess([sys.executable, "-m", module, str(resources)])


def start_load() -> Process:
    """Start a process of clients, not connected yet."""
    return Process([str(programs() / "load")])
