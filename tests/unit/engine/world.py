"""Objects, a source that says what a test says, and an engine on virtual time."""

from __future__ import annotations

import asyncio
from asyncio import Queue, TaskGroup
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment

from nodegate.engine import Engine, Translation
from nodegate.model.changes import Batch, Change, Delete, ObjectChange, Upsert
from nodegate.model.objects import (
    SERVICE_NAME_LABEL,
    Endpoint,
    EndpointPort,
    EndpointSlice,
    HTTPIngressPath,
    HTTPIngressRuleValue,
    Ingress,
    IngressBackend,
    IngressRule,
    IngressServiceBackend,
    IngressSpec,
    Metadata,
    Service,
    ServiceBackendPort,
    ServicePort,
    ServiceSpec,
)
from nodegate.ports import Claims, PortStore
from nodegate.snapshot.facts import NodeFacts
from nodegate.snapshot.publisher import Publisher
from nodegate.snapshot.type_urls import ENDPOINT
from nodegate.translate.expiry import expiring
from nodegate.translate.index import Index
from nodegate.translate.result import Changed
from nodegate.translate.settings import Settings
from nodegate.translate.step import step


def ingress(name: str, service: str, path: str = "/") -> Ingress:
    """Return an Ingress with one path to port 80 of a Service."""
    backend = IngressBackend(IngressServiceBackend(service, ServiceBackendPort(number=80)))
    rule = IngressRule(http=HTTPIngressRuleValue((HTTPIngressPath("Prefix", backend, path),)))
    return Ingress(Metadata(name, "shop"), IngressSpec(ingress_class_name="nodegate", rules=(rule,)))


def service(name: str) -> Service:
    """Return a Service with port 80."""
    return Service(Metadata(name, "shop"), ServiceSpec(cluster_ip="10.0.0.1", ports=(ServicePort(80),)))


def endpoints(service_name: str, *addresses: str) -> EndpointSlice:
    """Return the one EndpointSlice of a Service, with these addresses."""
    return EndpointSlice(
        Metadata(f"{service_name}-1", "shop", labels={SERVICE_NAME_LABEL: service_name}),
        endpoints=tuple(Endpoint((address,)) for address in addresses),
        ports=(EndpointPort("", 8080, "TCP"),),
    )


def shop(name: str, *addresses: str) -> list[Change]:
    """Return everything that serves one Ingress from one Service of the same name."""
    return [Upsert(ingress(name, name)), Upsert(service(name)), Upsert(endpoints(name, *addresses))]


def objects_only(changes: Iterable[Change]) -> tuple[ObjectChange, ...]:
    """Return these changes as a source yields them."""
    return tuple(change for change in changes if isinstance(change, Upsert | Delete))


def faulty_step(broken: Callable[[Change], bool]) -> Callable[[Index, Sequence[Change]], tuple[Index, Changed]]:
    """Return the real step with a defect: it raises, and ruins the index, when it meets a broken change."""

    def raising(index: Index, changes: Sequence[Change]) -> tuple[Index, Changed]:
        for number, change in enumerate(changes):
            if broken(change):
                step(index, changes[:number])  # half of the work is done, and nobody is told
                raise ZeroDivisionError("a defect")
        return step(index, changes)

    return raising


def translation(broken: Callable[[Change], bool] | None = None) -> Translation[Index]:
    """Return the real translation, with a defect if one is given."""
    return Translation(lambda: Index.new(Settings()), faulty_step(broken) if broken else step, expiring)


class World:
    """An engine that runs, and the source that a test plays."""

    def __init__(self, engine: Engine, publisher: Publisher, batches: Queue[Batch]) -> None:
        self.engine = engine
        self.publisher = publisher
        self.publications: list[float] = []
        self._batches = batches

    @property
    def state(self) -> Any:
        """What the engine lets others see."""
        return self.engine.state

    async def say(
        self, *changes: Change, synced: bool = True, problems: tuple[Any, ...] = (), stale: bool = False
    ) -> None:
        """Let the source yield one batch, and let the engine take it."""
        taken = self.engine.state.changes + len(changes)
        await self._batches.put(Batch(objects_only(changes), synced, problems, stale))
        await self.engine.until(lambda state: state.changes == taken)

    async def first_listing(self, *changes: Change) -> None:
        """Let the source yield its whole first listing."""
        await self.say(*changes)
        await self.engine.until(lambda state: state.synced)

    async def settled(self) -> None:
        """Wait until everything that was said is published."""
        await self.engine.until(lambda state: state.synced and not state.pending and not state.held)

    def addresses(self, cluster: str) -> list[str]:
        """Return the addresses of a cluster in the published target."""
        assert self.publisher.target is not None
        entry = self.publisher.target.get(ENDPOINT, cluster)
        assert entry is not None, f"no ClusterLoadAssignment {cluster}"
        message = ClusterLoadAssignment.FromString(entry.resolve(NodeFacts()).body)
        found = [host.endpoint.address for locality in message.endpoints for host in locality.lb_endpoints]
        return sorted(address.socket_address.address for address in found)


@asynccontextmanager
async def world(
    broken: Callable[[Change], bool] | None = None,
    *,
    claims: Claims | None = None,
    store: PortStore | None = None,
    began: float = 0.0,
) -> AsyncIterator[World]:
    """Run an engine with the real translation on the test's own time, which begins at ``began`` in Unix seconds."""
    loop = asyncio.get_running_loop()
    publisher, batches = Publisher(), Queue[Batch]()
    engine = Engine(translation(broken), claims or Claims(), publisher, store=store, clock=lambda: began + loop.time())
    made = World(engine, publisher, batches)

    async def source() -> AsyncIterator[Batch]:
        while True:
            yield await batches.get()

    async def note_publications() -> None:
        with publisher.watch() as woken:
            while True:
                await woken.wait()
                woken.clear()
                made.publications.append(loop.time())

    async with TaskGroup() as tasks:
        running = [tasks.create_task(engine.run(source())), tasks.create_task(note_publications())]
        yield made
        for task in running:
            task.cancel()
