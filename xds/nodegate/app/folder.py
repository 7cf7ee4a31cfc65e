"""A folder of manifests as the source, and what every source has to do for a control plane."""

from __future__ import annotations

from asyncio import TaskGroup
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from prometheus_client.registry import Collector

from nodegate.app.state_folder import kept_claims
from nodegate.debug.state import Replica
from nodegate.engine import Engine
from nodegate.model.changes import Batch
from nodegate.ports import Ports, PortStore
from nodegate.server import Clients
from nodegate.snapshot.publisher import Publisher
from nodegate.source.files import FolderSource


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


class FollowedFolder:
    """A folder that is followed; nothing is ever written to it."""

    def __init__(self, source: FolderSource, state_dir: Path | None) -> None:
        self._source = source
        self._state_dir = state_dir

    def collectors(self) -> tuple[Collector, ...]:
        """Return nothing."""
        return ()

    def ports(self) -> tuple[Ports, PortStore | None]:
        """Return the claims that are made here."""
        return kept_claims(self._state_dir)

    def replica(self) -> None:
        """Return nothing: there is one."""

    def start(self, _plane: Plane) -> AsyncIterator[Batch]:
        """Return the batches; the engine's reading of them is what follows the folder."""
        return self._source.batches()
