"""A cluster as the source, with what is written to it."""

from __future__ import annotations

from collections.abc import AsyncIterator

from prometheus_client.registry import Collector

from nodegate.app.followed import Plane
from nodegate.app.listing import Listing
from nodegate.app.writing import Writing
from nodegate.debug.state import Replica
from nodegate.model.changes import Batch
from nodegate.ports import Ports, PortStore
from nodegate.settings import ServeSettings
from nodegate.source.kubernetes.metrics import WatchCollector
from nodegate.translate.settings import KeyPair


class FollowedCluster:
    """A cluster whose listing has begun. ``own`` is our own certificate, if it is needed."""

    def __init__(self, listing: Listing, settings: ServeSettings, own: KeyPair | None) -> None:
        self._source = listing.source
        self._journal = listing.journal
        self._writing = Writing(listing.connection, settings.translation, settings.lease, own)

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
        """Write to the cluster, which is followed already; see :class:`nodegate.app.followed.Followed`."""
        batches = self._source.batches()
        if self._journal is not None:
            plane.stack.push_async_callback(self._journal.write)
            plane.run(self._journal.run(), "journal")
            batches = self._journal.keeping(batches)
        return self._writing.start(plane, batches)
