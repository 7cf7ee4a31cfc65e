"""A cluster as the source, and what is written there while it is followed."""

from __future__ import annotations

import asyncio
from asyncio import TaskGroup, to_thread
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass

from nodegate.app.state_folder import kept_cluster
from nodegate.engine import Engine
from nodegate.model.changes import Batch
from nodegate.server import Clients
from nodegate.settings import KubernetesAccess, ServeSettings
from nodegate.snapshot.type_urls import LISTENER, ROUTE
from nodegate.source.kubernetes import Journal, KubernetesSource, connect
from nodegate.source.kubernetes.metrics import WatchCollector
from nodegate.status.addresses import AddressWriter
from nodegate.status.services import claims_in
from nodegate.status.writer import ServiceWriter

_PROOF_SECONDS, _REPEAT_SECONDS = 0.5, 5.0
"""How often it is looked whether a proxy has proved an Ingress, and after what time a failed write is repeated."""


@dataclass(frozen=True, slots=True)
class _Written:
    """What is written to a cluster."""

    services: ServiceWriter
    addresses: AddressWriter


class FollowedCluster:
    """A cluster that is followed; made by :func:`follow`."""

    def __init__(self, source: KubernetesSource, written: _Written | None, journal: Journal | None) -> None:
        self._source = source
        self._journal = journal
        self._written = written

    def collectors(self) -> tuple[WatchCollector, ...]:
        """Return the metrics of the watches."""
        return (WatchCollector(self._source.informers),)

    def start(self, engine: Engine, clients: Clients, tasks: TaskGroup, stack: AsyncExitStack) -> AsyncIterator[Batch]:
        """Follow the cluster and write to it; see :class:`nodegate.app.folder.Followed`."""
        stack.callback(tasks.create_task(self._source.run(), name="informers").cancel)
        batches = self._source.batches()
        if self._journal is not None:
            stack.push_async_callback(self._journal.write)
            stack.callback(tasks.create_task(self._journal.run(), name="journal").cancel)
            batches = self._journal.keeping(batches)
        if self._written is None:
            return batches
        written = self._written
        for writing in (
            _write_services(engine, written.services),
            _write_addresses(engine, written.addresses, clients),
        ):
            stack.callback(tasks.create_task(writing, name="writer").cancel)
        return written.addresses.watching(written.services.watching(_adopting(batches, engine)))


async def follow(access: KubernetesAccess, settings: ServeSettings, stack: AsyncExitStack) -> FollowedCluster:
    """Open the way to a cluster; ``stack`` closes it."""
    connection = await stack.enter_async_context(connect(access))
    journal = kept_cluster(settings, connection.server)
    stored = await to_thread(journal.load) if journal else {}
    source = KubernetesSource(connection, access.namespaces, stored=stored)
    written = _Written(ServiceWriter(connection), AddressWriter(connection))
    return FollowedCluster(source, written if _has_services(settings) else None, journal)


def _has_services(settings: ServeSettings) -> bool:
    """Whether Ingresses have Services of their own: not where they share listeners, or listeners are on the node."""
    return settings.translation.listener_mode == "dedicated" and settings.translation.expose == "redirect"


async def _adopting(batches: AsyncIterator[Batch], engine: Engine) -> AsyncIterator[Batch]:
    """Take over the claims that the cluster holds, before the first listing is served: the ports stay as they are."""
    async for batch in batches:
        if not engine.state.synced:
            engine.adopt(claims_in(batch.changes))
        yield batch


async def _write_services(engine: Engine, writer: ServiceWriter) -> None:
    """Write what follows from the objects whenever it may have changed."""
    while True:
        state = await engine.until(lambda state: state.synced and writer.is_stale(state.ports))
        await writer.write(state.ports, state.listeners)


async def _write_addresses(engine: Engine, writer: AddressWriter, clients: Clients) -> None:
    """Write what streams prove, soon after they do."""

    def is_proved(listeners: Mapping[str, int]) -> bool:
        target = engine.state.target
        keys = [(LISTENER, f"{name}@{port}") for name, port in listeners.items()]
        keys += [(ROUTE, name) for name in listeners]
        return any(all(client.holds(key, target) for key in keys) for client in clients.connections())

    state = await engine.until(lambda state: state.synced)
    while True:
        done = await writer.write(state.ports, state.listeners, is_proved)
        await asyncio.sleep(_PROOF_SECONDS if done else _REPEAT_SECONDS)
