"""A folder of manifests as the source, and what every source has to do for a control plane."""

from __future__ import annotations

from asyncio import TaskGroup
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Protocol

from prometheus_client.registry import Collector

from nodegate.engine import Engine
from nodegate.model.changes import Batch
from nodegate.server import Clients
from nodegate.source.files import FolderSource


class Followed(Protocol):
    """What a control plane follows: a folder, or a cluster."""

    def collectors(self) -> tuple[Collector, ...]:
        """Return what it adds to the metrics."""

    def start(
        self, engine: Engine, clients: Clients, tasks: TaskGroup, stack: AsyncExitStack, /
    ) -> AsyncIterator[Batch]:
        """Start to follow, in tasks that ``stack`` ends, and return the batches for the engine."""


class FollowedFolder:
    """A folder that is followed; nothing is ever written to it."""

    def __init__(self, source: FolderSource) -> None:
        self._source = source

    def collectors(self) -> tuple[Collector, ...]:
        """Return nothing."""
        return ()

    def start(self, *_needed_by_a_cluster: object) -> AsyncIterator[Batch]:
        """Return the batches; the engine's reading of them is what follows the folder."""
        return self._source.batches()
