"""What is written to a cluster while it is followed, and who writes it."""

from __future__ import annotations

import secrets
import socket
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path

from nodegate.app.folder import Plane
from nodegate.engine import Engine
from nodegate.model.changes import Batch
from nodegate.ports import WrittenClaims
from nodegate.settings import LEASE_NAMESPACE, LeaseSettings, TranslationSettings
from nodegate.snapshot.publisher import Publisher
from nodegate.status.addresses import AddressWriter, Place
from nodegate.status.leadership import Leadership
from nodegate.status.requests import Cluster, Requests
from nodegate.status.writer import ServiceWriter

_POD_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


class Writing:
    """Everything that writes to one cluster, on one replica."""

    def __init__(self, cluster: Cluster, chosen: TranslationSettings, lease: LeaseSettings) -> None:
        self._synced: Callable[[], bool] = lambda: False
        self.claims = WrittenClaims(chosen.publish_service)
        self.requests = Requests(cluster)
        place = (lease.namespace or _own_namespace(), lease.name)
        self.leadership = Leadership(self.requests, place, lease.identity or _new_identity(), lease.seconds)
        self.services = ServiceWriter(self.requests, self.claims, chosen.publish_service, self._leads)
        self._place = Place(chosen.publish_service, _host_ports(chosen))

    def start(self, plane: Plane, batches: AsyncIterator[Batch]) -> AsyncIterator[Batch]:
        """Start to write; return the batches, which are read on their way to the engine."""
        engine, clients = plane.engine, plane.clients
        addresses = AddressWriter(
            self.requests, self.claims, self._place, lambda: engine.state.target, clients.connections, self._leads
        )

        def look_at(listeners: Iterable[str]) -> None:
            self.services.look_at(listeners)
            addresses.look_at(listeners)

        self._synced = lambda: engine.state.synced
        self.claims.on_change = look_at
        self.services.on_problems = lambda: engine.report(self.services.problems)
        self.leadership.on_change = lambda _: self._look_at_all(addresses)
        clients.on_answer = addresses.look
        for part in (self.leadership.run(), self.services.work.run(), addresses.work.run(), addresses.prove()):
            plane.run(part, "writer")
        plane.run(self._begin(engine, addresses), "writer")
        plane.run(_look_at_targets(plane.publisher, addresses), "writer")
        return self._observing(batches, addresses)

    def _leads(self) -> bool:
        """Whether to write what only one replica may; what an earlier run knew is nothing to write by."""
        return self._synced() and self.leadership.leads

    async def _begin(self, engine: Engine, addresses: AddressWriter) -> None:
        await engine.until(lambda state: state.synced)
        self._look_at_all(addresses)

    def _look_at_all(self, addresses: AddressWriter) -> None:
        self.services.look_at_all()
        addresses.look_at_all()

    async def _observing(self, batches: AsyncIterator[Batch], addresses: AddressWriter) -> AsyncIterator[Batch]:
        async for batch in batches:
            self.services.observe(batch.changes)
            addresses.observe(batch.changes)
            yield batch


async def _look_at_targets(publisher: Publisher, addresses: AddressWriter) -> None:
    with publisher.watch() as wake:
        while True:
            await wake.wait()
            wake.clear()
            addresses.look()


def _host_ports(chosen: TranslationSettings) -> dict[str, int]:
    return {"http": chosen.http_port, "https": chosen.https_port} if chosen.expose == "host" else {}


def _own_namespace() -> str:
    """Return the namespace of the Pod, or where there is none the one our manifests make."""
    try:
        return _POD_NAMESPACE.read_text().strip()
    except OSError:
        return LEASE_NAMESPACE


def _new_identity() -> str:
    """Return a name that no other replica has, nor this one after a restart: who died never holds on to its Lease."""
    return f"{socket.gethostname()}_{secrets.token_hex(4)}"
