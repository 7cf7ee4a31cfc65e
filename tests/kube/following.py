"""A source that follows a real cluster, and what it has told so far."""

from __future__ import annotations

import asyncio
from asyncio import TaskGroup
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

from nodegate.model.changes import Batch, Upsert
from nodegate.model.objects import Object
from nodegate.model.problem import Problem
from nodegate.model.refs import Kind, Ref
from nodegate.settings import KubernetesAccess
from nodegate.source.kubernetes import KubernetesSource, connect

T = TypeVar("T")


class World:
    """Everything the source has told, applied in order."""

    def __init__(self, source: KubernetesSource) -> None:
        self.source = source
        self.objects: dict[Ref, Object] = {}
        self.problems: tuple[Problem, ...] = ()
        self.synced = False
        self.batches: list[Batch] = []

    async def read(self) -> None:
        """Apply every batch until cancelled."""
        async for batch in self.source.batches():
            self.batches.append(batch)
            self.synced, self.problems = batch.synced, batch.problems
            for change in batch.changes:
                if isinstance(change, Upsert):
                    self.objects[change.ref] = change.object
                else:
                    del self.objects[change.ref]  # a delete of what was never told is an error

    def names(self, kind: Kind, namespace: str) -> set[str]:
        """Return the names of the objects of one kind in a namespace."""
        return {ref.name for ref in self.objects if (ref.kind, ref.namespace) == (kind, namespace)}


@asynccontextmanager
async def following(kubeconfig: Path, namespaces: Sequence[str] = ()) -> AsyncIterator[World]:
    """Follow the cluster of a configuration for as long as the block lasts."""
    async with connect(KubernetesAccess(kubeconfig=str(kubeconfig))) as connection, TaskGroup() as tasks:
        world = World(KubernetesSource(connection, namespaces))
        running = [tasks.create_task(world.source.run()), tasks.create_task(world.read())]
        try:
            yield world
        finally:
            for task in running:
                task.cancel()


async def until(look: Callable[[], T], *, within: float = 30.0, what: str) -> T:
    """Return the first true value of ``look``, or fail after some seconds."""
    deadline = asyncio.get_running_loop().time() + within
    while not (value := look()):
        assert asyncio.get_running_loop().time() < deadline, f"{what} did not come true within {within:g} s"
        await asyncio.sleep(0.02)
    return value
