"""A cluster as the source, with what is written to it."""

from __future__ import annotations

from asyncio import to_thread
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

from prometheus_client.registry import Collector

from nodegate.app.folder import Plane
from nodegate.app.state_folder import kept_cluster
from nodegate.app.writing import Writing
from nodegate.debug.state import Replica
from nodegate.errors import UsageError
from nodegate.model.changes import Batch
from nodegate.ports import Ports, PortStore
from nodegate.settings import KubernetesAccess, ServeSettings
from nodegate.source.kubernetes import Journal, KubernetesSource, connect
from nodegate.source.kubernetes.metrics import WatchCollector
from nodegate.translate.settings import KeyPair


class FollowedCluster:
    """A cluster that is followed; made by :func:`follow`."""

    def __init__(self, source: KubernetesSource, writing: Writing, journal: Journal | None) -> None:
        self._source = source
        self._journal = journal
        self._writing = writing

    def collectors(self) -> tuple[Collector, ...]:
        """Return the metrics of the watches, and of what is written."""
        return WatchCollector(self._source.informers), self._writing.collector

    def ports(self) -> tuple[Ports, PortStore | None]:
        """Return the claims that the cluster holds; it keeps them itself."""
        return self._writing.claims, None

    def replica(self) -> Replica:
        """Return what this replica is among others."""
        return self._writing.replica()

    def start(self, plane: Plane) -> AsyncIterator[Batch]:
        """Follow the cluster and write to it; see :class:`nodegate.app.folder.Followed`."""
        plane.run(self._source.run(), "informers")
        batches = self._source.batches()
        if self._journal is not None:
            plane.stack.push_async_callback(self._journal.write)
            plane.run(self._journal.run(), "journal")
            batches = self._journal.keeping(batches)
        return self._writing.start(plane, batches)


async def follow(
    access: KubernetesAccess, settings: ServeSettings, own: KeyPair | None, stack: AsyncExitStack
) -> FollowedCluster:
    """Open the way to a cluster; ``stack`` closes it. ``own`` is our own certificate, if it is needed."""
    _require_published(access, settings)
    connection = await stack.enter_async_context(connect(access))
    journal = kept_cluster(settings, connection.server)
    stored = await to_thread(journal.load) if journal else {}
    source = KubernetesSource(connection, access.namespaces, stored=stored)
    return FollowedCluster(source, Writing(connection, settings.translation, settings.lease, own), journal)


def _require_published(access: KubernetesAccess, settings: ServeSettings) -> None:
    """The ports of shared listeners are read back from their Service, so that has to be watched."""
    chosen, namespace = settings.translation, settings.translation.publish_service[0]
    shared = chosen.listener_mode == "shared" and chosen.expose == "redirect"
    if shared and access.namespaces and namespace not in access.namespaces:
        raise UsageError(
            f"--publish-service {'/'.join(chosen.publish_service)} is in a namespace that is not watched. "
            f"Add --watch-namespace {namespace}, or name a Service in a namespace that is."
        )
