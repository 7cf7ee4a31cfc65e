"""What every source has to do for a control plane, and what it gets of one that starts."""

from __future__ import annotations

from asyncio import TaskGroup
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Protocol

from prometheus_client.registry import Collector

from nodegate.debug.state import Replica
from nodegate.engine import Engine
from nodegate.model.changes import Batch
from nodegate.ports import Ports, PortStore
from nodegate.server import Clients
from nodegate.snapshot.publisher import Publisher


@dataclass(frozen=True, slots=True)
class Plane:
    """The parts of a control plane that starts."""

    engine: Engine
    publisher: Publisher
    clients: Clients
    tasks: TaskGroup
    stack: AsyncExitStack

    def run(self, part: Coroutine[Any, Any, None], name: str) -> None:
        """Run a part in a task until the control plane stops."""
        self.stack.callback(self.tasks.create_task(part, name=name).cancel)


class Followed(Protocol):
    """What a control plane follows: a folder, or a cluster."""

    def collectors(self) -> tuple[Collector, ...]:
        """Return what it adds to the metrics."""

    def ports(self) -> tuple[Ports, PortStore | None]:
        """Return what decides on ports, and where that is kept, if it is."""

    def replica(self) -> Replica | None:
        """Return what this replica is among others; None where nothing is written."""

    def start(self, plane: Plane, /) -> AsyncIterator[Batch]:
        """Start to follow, and return the batches for the engine."""
