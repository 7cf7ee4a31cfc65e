"""Keeps in the cluster what nodegate writes there. What has to be is decided elsewhere; this sends it, once.

Everything goes by server-side apply with nodegate's own field manager: what others write on the same objects stays, and
writing the same twice, by whatever replica, changes nothing.
"""

from __future__ import annotations

import asyncio
from asyncio import TaskGroup
from collections.abc import AsyncIterator, Iterable, Mapping

import structlog

from nodegate.model.changes import Batch, Delete, ObjectChange
from nodegate.model.generated_service import MANAGER, is_ours, service_name
from nodegate.model.objects import Ingress, Object, Service
from nodegate.model.refs import Kind, Ref
from nodegate.status.requests import Cluster, Requests
from nodegate.status.services import Wanted, fits, leftovers, ports_by_ingress, wanted

log = structlog.get_logger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 10.0
_WRITTEN = (Kind.SERVICE, Kind.ENDPOINT_SLICE)


class ServiceWriter:
    """Writes the Service and the slice of each Ingress that has listeners, and takes away those of one that has not.

    It is told what the cluster holds (:meth:`observe`), so it writes only what differs, and corrects what somebody
    changed. What it sent is not sent again before it has come back.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._requests = Requests(cluster)
        self._ingresses: dict[Ref, Object] = {}
        self._found: dict[Ref, Object] = {}
        self._sent: dict[Ref, tuple[Wanted | None, Object | None]] = {}
        self._taken: set[Ref] = set()
        self._dirty = False
        self._ports: Mapping[str, int] = {}

    async def watching(self, batches: AsyncIterator[Batch]) -> AsyncIterator[Batch]:
        """Pass the source's batches on, and note what they say of what is written here."""
        async for batch in batches:
            self.observe(batch.changes)
            yield batch

    def observe(self, changes: Iterable[ObjectChange]) -> None:
        """Note the state of Ingresses, and of Services and slices that may be ours."""
        for change in changes:
            kind, _, name = change.ref
            if kind is Kind.INGRESS:
                note(self._ingresses, change)
            elif kind in _WRITTEN and name.startswith(f"{MANAGER}-"):
                note(self._found, change)
            else:
                continue
            self._dirty = True

    def is_stale(self, ports: Mapping[str, int]) -> bool:
        """Whether something was noted, or another listener has a port, since the last :meth:`write`."""
        return self._dirty or ports != self._ports

    async def write(self, ports: Mapping[str, int], listeners: Iterable[str]) -> None:
        """Write until the cluster holds what it should; a request that fails is repeated, later and later.

        ``ports`` are the claimed ports by listener, ``listeners`` all that are wanted, with or without a port.
        """
        pause = FIRST_PAUSE
        self._dirty, self._ports = False, dict(ports)
        while not await self._write_once(frozenset(listeners)):
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _write_once(self, listeners: frozenset[str]) -> bool:
        async with TaskGroup() as tasks:
            running = [tasks.create_task(self._apply_pair(pair)) for pair in self._wanted()]
            running += [tasks.create_task(self._remove(ref)) for ref in self._leftovers(listeners)]
        return all(task.result() for task in running)

    def _wanted(self) -> list[tuple[Wanted, ...]]:
        """Return what each Ingress needs and has not; the slice first, as kube-proxy rejects a Service without it."""
        found: list[tuple[Wanted, ...]] = []
        for (namespace, name), ports in ports_by_ingress(self._ports).items():
            ingress = self._ingresses.get(Ref(Kind.INGRESS, namespace, name))
            if isinstance(ingress, Ingress) and not self._is_taken(ingress):
                service, endpoint_slice = wanted(ingress, ports)
                found.append(tuple(filter(self._differs, (endpoint_slice, service))))
        return [pair for pair in found if pair]

    def _is_taken(self, ingress: Ingress) -> bool:
        """Whether somebody else has a Service of the name we would use; it is never taken over."""
        ref = Ref(Kind.SERVICE, ingress.metadata.namespace, service_name(ingress.metadata.name))
        service = self._found.get(ref)
        if not isinstance(service, Service) or is_ours(service):
            self._taken.discard(ref)
            return False
        if ref not in self._taken:
            self._taken.add(ref)
            log.error("%s exists and is not nodegate's, so %s gets none. Rename one of them.", ref, ingress.ref)
        return True

    def _differs(self, one: Wanted) -> bool:
        found = self._found.get(one.ref)
        return not (found is not None and fits(found, one)) and self._sent.get(one.ref) != (one, found)

    def _leftovers(self, listeners: frozenset[str]) -> list[Ref]:
        """Return what is of an Ingress that is there and has no listener; of one that is gone, Kubernetes ends it."""
        owners = {listener.rpartition("/")[0] for listener in listeners}
        kept = {
            Ref(kind, ref.namespace, service_name(ref.name))
            for ref in self._ingresses
            if f"{ref.namespace}/{ref.name}" in owners
            for kind in _WRITTEN
        }
        there = {(ref.namespace, service_name(ref.name)) for ref in self._ingresses}
        gone = [ref for ref in leftovers(self._found, kept) if (ref.namespace, ref.name) in there]
        return [ref for ref in gone if self._sent.get(ref) != (None, self._found[ref])]

    # --- Requests --------------------------------------------------------------------------------------------------

    async def _apply_pair(self, pair: tuple[Wanted, ...]) -> bool:
        return all([await self._apply(one) for one in pair])

    async def _apply(self, one: Wanted) -> bool:
        found = self._found.get(one.ref)
        if not await self._requests.apply(one.ref, one.body, force=found is not None):
            return False
        self._sent[one.ref] = (one, found)
        return True

    async def _remove(self, ref: Ref) -> bool:
        found = self._found[ref]
        if not await self._requests.delete(ref, found.metadata.uid):
            return False
        self._sent[ref] = (None, found)
        return True


def note(known: dict[Ref, Object], change: ObjectChange) -> None:
    """Apply a change to what is known."""
    if isinstance(change, Delete):
        known.pop(change.ref, None)
    else:
        known[change.ref] = change.object
