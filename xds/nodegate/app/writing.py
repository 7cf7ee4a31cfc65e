"""What is written to a cluster while it is followed, and who writes it."""

from __future__ import annotations

import secrets
import socket
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from msgspec.structs import replace

from nodegate.app.followed import Plane
from nodegate.debug.state import Replica
from nodegate.model.changes import Batch
from nodegate.model.problem import Problem
from nodegate.model.refs import Ref
from nodegate.ports import WrittenClaims
from nodegate.ports.problems import PORT_REFUSED
from nodegate.settings import LEASE_NAMESPACE, LeaseSettings, ServeSettings, TranslationSettings
from nodegate.snapshot.publisher import Publisher
from nodegate.status import quarantine
from nodegate.status.addresses import AddressWriter, Place
from nodegate.status.certificate import NAME as OWN_SECRET
from nodegate.status.certificate import CertificateWriter
from nodegate.status.events import EventWriter, Teller
from nodegate.status.leadership import Leadership
from nodegate.status.metrics import WriteCollector
from nodegate.status.requests import Cluster, Requests
from nodegate.status.writer import ServiceWriter
from nodegate.translate.settings import KeyPair

_POD_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_SEEN_ON_STREAMS = frozenset(code.code for code in (*quarantine.CODES, PORT_REFUSED))


@dataclass(frozen=True, slots=True)
class _Writers:
    """Those who write, each one kind of thing."""

    services: ServiceWriter
    addresses: AddressWriter
    events: EventWriter
    certificate: CertificateWriter | None

    def look_at_all(self) -> None:
        """Everything is known now, or this replica leads from now on."""
        for writer in (self.services, self.addresses, self.events, self.certificate):
            if writer is not None:
                writer.look_at_all()

    def observe(self, batch: Batch) -> None:
        """The cluster says this."""
        for writer in (self.services, self.addresses, self.certificate):
            if writer is not None:
                writer.observe(batch.changes)

    def look_at(self, listeners: Iterable[str]) -> None:
        """These listeners are wanted, or wanted no more, or have to have another port."""
        names = tuple(listeners)
        self.services.look_at(names)
        self.addresses.look_at(names)


def with_shared_certificate(settings: ServeSettings) -> ServeSettings:
    """Return settings by which all replicas use one certificate of our own, where they would make up one each."""
    chosen = settings.translation
    if isinstance(settings.source, Path) or chosen.listener_mode != "shared" or chosen.default_certificate:
        return settings
    place = (settings.lease.namespace or _own_namespace(), OWN_SECRET)
    return replace(settings, translation=replace(chosen, default_certificate=place))


class Writing:
    """Everything that writes to one cluster, on one replica."""

    def __init__(
        self, cluster: Cluster, chosen: TranslationSettings, lease: LeaseSettings, own: KeyPair | None
    ) -> None:
        """``own`` is a certificate of our own that all replicas are to share; None where none is needed."""
        self._chosen = chosen
        self._own = own
        self._synced: Callable[[], bool] = lambda: False
        self.claims = WrittenClaims(chosen.publish_service)
        self._requests = Requests(cluster)
        place = (lease.namespace or _own_namespace(), lease.name)
        self._leadership = Leadership(self._requests, place, lease.identity or _new_identity(), lease.seconds)
        self.collector = WriteCollector(self._requests, self._leadership)

    def replica(self) -> Replica:
        """Return what a page shows of this replica."""
        leading = self._leadership
        lease, holder = "/".join(leading.place), leading.election.holder
        return Replica(leading.election.identity, lease, holder, leading.leads, leading.trouble)

    def start(self, plane: Plane, batches: AsyncIterator[Batch]) -> AsyncIterator[Batch]:
        """Start to write; return the batches, which are read on their way to the engine."""
        engine, writers = plane.engine, self._writers(plane)
        self._synced = lambda: engine.state.synced
        self.claims.on_change = writers.look_at

        def report() -> None:
            engine.report({**writers.services.problems, **self._leadership.problems})

        writers.services.on_problems = self._leadership.on_trouble = report
        self._leadership.on_change = lambda _: writers.look_at_all()
        plane.clients.on_answer = writers.addresses.look
        engine.watch_problems(writers.events.note)
        for part in (
            self._leadership.run(),
            writers.services.work.run(),
            writers.addresses.work.run(),
            writers.addresses.prove(),
            writers.events.work.run(),
            *([writers.certificate.work.run()] if writers.certificate else []),
            writers.events.repeat(),
            _look_at_targets(plane.publisher, writers.addresses),
            _begin(plane, writers),
        ):
            plane.run(part, "writer")
        return _observed(batches, writers)

    def _writers(self, plane: Plane) -> _Writers:
        state, chosen = plane.engine.state, self._chosen
        place = Place(chosen.publish_service, _host_ports(chosen))
        teller = Teller(self._leadership.election.identity, self._leads, _SEEN_ON_STREAMS)
        return _Writers(
            ServiceWriter(self._requests, self.claims, chosen.publish_service, self._leads),
            AddressWriter(
                self._requests, self.claims, place, lambda: state.target, plane.clients.connections, self._leads
            ),
            EventWriter(self._requests, teller, state.objects.get),
            self._certificate(),
        )

    def _certificate(self) -> CertificateWriter | None:
        place = self._chosen.default_certificate
        if self._own is None or place is None or place[1] != OWN_SECRET:
            return None
        return CertificateWriter(self._requests, place, (self._own.certificate, self._own.key), self._leads)

    def _leads(self) -> bool:
        """Whether to write what only one replica may; what an earlier run knew is nothing to write by."""
        return self._synced() and self._leadership.leads


async def _begin(plane: Plane, writers: _Writers) -> None:
    await plane.engine.until(lambda state: state.synced)
    writers.look_at_all()


async def _look_at_targets(publisher: Publisher, addresses: AddressWriter) -> None:
    with publisher.watch() as wake:
        while True:
            await wake.wait()
            wake.clear()
            addresses.look()


async def _observed(batches: AsyncIterator[Batch], writers: _Writers) -> AsyncIterator[Batch]:
    """Pass the source's batches on, and let those who write know of them."""
    told: tuple[Problem, ...] = ()
    async for batch in batches:
        writers.observe(batch)
        if batch.problems != told:
            _tell(writers, {problem.ref for problem in (*told, *batch.problems)}, batch.problems)
            told = batch.problems
        yield batch


def _tell(writers: _Writers, refs: Iterable[Ref], problems: Iterable[Problem]) -> None:
    """Tell what is wrong with objects as they came, if they are any of ours."""
    served = writers.addresses.serves
    for ref in refs:
        writers.events.note(ref, (one for one in problems if one.ref == ref and served(ref)), "source")


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
