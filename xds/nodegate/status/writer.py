"""Keeps in the cluster the Services of listeners and their slices. What has to be is decided elsewhere.

Everything goes by server-side apply with nodegate's own field manager: what others write on the same objects stays, and
writing the same twice, by whatever replica, changes nothing. Only the replica that leads writes; one that does not
writes a claim all the same when a node on one of its own streams has refused a port (DESIGN 3.6).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence

from nodegate.model.changes import Delete, ObjectChange
from nodegate.model.generated_service import MANAGED_BY_LABEL, MANAGER, SHARED, frontend_of, is_ours, service_name
from nodegate.model.objects import Ingress, Object, Service
from nodegate.model.problem import Problem
from nodegate.model.refs import Kind, Ref
from nodegate.ports import WrittenClaims
from nodegate.ports.contract import frontend_of_listener, listeners_of_frontend
from nodegate.status.codes import SERVICE_NAME_TAKEN
from nodegate.status.pace import Buckets
from nodegate.status.requests import Requests
from nodegate.status.services import (
    Ports,
    Wanted,
    fits,
    ipv6_slice,
    of_ingress,
    of_shared_listeners,
    refs_of,
    service_of,
)
from nodegate.status.work import Work

_WRITTEN = (Kind.SERVICE, Kind.ENDPOINT_SLICE)

Place = tuple[str, str]
"""Namespace and name of a Service."""


class ServiceWriter:
    """Writes the Service and the slices of every frontend, and takes away those of an Ingress that has no listener.

    It is told what the cluster holds (:meth:`observe`) and which listeners changed (:meth:`look_at`), so it writes only
    what differs, and corrects what somebody changed; who does so again and again is not raced. What it sent is not sent
    again before it has come back.
    ``leads`` says whether this replica does all that only one may. ``problems`` are those of Ingresses whose Service
    cannot be; ``on_problems`` is called when they change.
    """

    def __init__(
        self, requests: Requests, claims: WrittenClaims, publish: Place, leads: Callable[[], bool] = lambda: True
    ) -> None:
        self.problems: dict[Ref, tuple[Problem, ...]] = {}
        self.on_problems: Callable[[], None] = lambda: None
        self.work: Work[str] = Work(self._do)
        self._requests = requests
        self._claims = claims
        self._publish = publish
        self._leads = leads
        self._ingresses: dict[str, Ingress] = {}
        self._frontends: dict[Place, str] = {publish: SHARED}
        self._found: dict[Ref, Object] = {}
        self._sent: dict[Ref, tuple[Wanted | None, Object | None]] = {}
        self._pace = Buckets()

    # --- What is told ------------------------------------------------------------------------------------------------

    def observe(self, changes: Iterable[ObjectChange]) -> None:
        """Note the state of Ingresses, and of Services and slices that may be ours."""
        for change in changes:
            if change.ref.kind is Kind.INGRESS:
                self._note_ingress(change)
            elif change.ref.kind in _WRITTEN and self._may_be_ours(change.ref):
                self._note_written(change)

    def _may_be_ours(self, ref: Ref) -> bool:
        return ref.name.startswith("nodegate-") or service_of(ref) == self._publish

    def _note_ingress(self, change: ObjectChange) -> None:
        _, namespace, name = change.ref
        frontend, place = f"{namespace}/{name}", (namespace, service_name(name))
        if isinstance(change, Delete):
            self._ingresses.pop(frontend, None)
            self._frontends.pop(place, None)
        elif isinstance(change.object, Ingress):
            self._ingresses[frontend] = change.object
            self._frontends[place] = frontend
        self.work.add([frontend])

    def _note_written(self, change: ObjectChange) -> None:
        ref = change.ref
        self._sent.pop(ref, None)  # it is another one now, be it that somebody undid what was sent
        if isinstance(change, Delete):
            self._found.pop(ref, None)
        else:
            self._found[ref] = change.object
        frontend = self._frontends.get(service_of(ref))
        self.work.add([frontend] if frontend else [])

    def look_at(self, listeners: Iterable[str]) -> None:
        """These listeners are wanted, or wanted no more, or have to have another port."""
        self.work.add({frontend_of_listener(listener) for listener in listeners})

    def look_at_all(self) -> None:
        """This replica leads from now on."""
        self.work.add([SHARED, *self._ingresses])

    # --- What follows ------------------------------------------------------------------------------------------------

    async def _do(self, frontend: str) -> bool:
        """Bring one frontend's Service and slices to where they have to be; return whether they are."""
        listeners = [one for one in listeners_of_frontend(frontend) if self._claims.wants(one)]
        foreign = self._foreign(frontend) if listeners else None
        self._report(frontend, foreign)
        if foreign or not (self._leads() or not self._claims.moved.isdisjoint(listeners)):
            return True
        if not listeners:
            return await self._remove_all(self._leftovers(frontend))
        wanted = self._wanted(frontend, listeners)
        return await self._apply_all(frontend, wanted) and await self._remove_all(self._unwanted(frontend, wanted))

    def _wanted(self, frontend: str, listeners: Iterable[str]) -> tuple[Wanted, ...]:
        """Return what a frontend needs; nothing where no port is free, or its Ingress is not known."""
        ports = {one: self._claims.to_write(one) for one in listeners}
        claimed = {_scheme(one): port for one, port in ports.items() if port is not None}
        refused = [(_scheme(one), port) for one in ports for port in self._claims.refused(one)]
        ingress = self._ingresses.get(frontend)
        if not claimed or not (ingress or frontend == SHARED):
            return ()
        said = Ports(claimed, refused)
        service, first = of_ingress(ingress, said) if ingress else of_shared_listeners(self._publish, said)
        return service, first, *ipv6_slice(first, self._found.get(service.ref))

    def _place(self, frontend: str) -> Place:
        namespace, _, name = frontend.partition("/")
        return self._publish if frontend == SHARED else (namespace, service_name(name))

    def _foreign(self, frontend: str) -> Service | None:
        """Return the Service of the name we would use that somebody else has made."""
        service = self._found.get(Ref(Kind.SERVICE, *self._place(frontend)))
        return service if isinstance(service, Service) and not frontend_of(service, self._publish) else None

    def _differs(self, one: Wanted) -> bool:
        found = self._found.get(one.ref)
        return not (found is not None and fits(found, one)) and self._sent.get(one.ref) != (one, found)

    def _leftovers(self, frontend: str) -> list[Ref]:
        """Return what is of a frontend without listeners; where an Ingress is gone, Kubernetes ends what it owned."""
        if frontend != SHARED and frontend not in self._ingresses:
            return []
        found = {ref: self._found[ref] for ref in refs_of(self._place(frontend)) if ref in self._found}
        return [ref for ref, one in found.items() if self._is_ours(one) and self._sent.get(ref) != (None, one)]

    def _unwanted(self, frontend: str, wanted: Sequence[Wanted]) -> list[Ref]:
        """Return the slice of an address family that a Service had and has no more; only the Service can say that."""
        needed = [one.ref for one in wanted]
        there = needed and needed[0] in self._found
        return [ref for ref in self._leftovers(frontend) if ref not in needed] if there else []

    def _is_ours(self, found: Object) -> bool:
        shared = service_of(found.ref) == self._publish
        return found.metadata.labels.get(MANAGED_BY_LABEL) == MANAGER if shared else is_ours(found)

    def _report(self, frontend: str, foreign: Service | None) -> None:
        namespace, _, name = frontend.partition("/")
        owner = Ref(Kind.SERVICE, *self._publish) if frontend == SHARED else Ref(Kind.INGRESS, namespace, name)
        found = (_taken(owner, foreign),) if foreign else ()
        if self.problems.get(owner, ()) != found:
            self.problems.pop(owner, None)
            self.problems.update({owner: found} if found else {})
            self.on_problems()

    # --- Requests ----------------------------------------------------------------------------------------------------

    async def _apply_all(self, frontend: str, wanted: Sequence[Wanted]) -> bool:
        """Write what differs of a Service and its slices.

        Slices go first, as kube-proxy rejects what goes to a Service without endpoints (redirect 11). A Service that
        is new is known to nobody yet, so then all go together: its listener waits for the claim on it.
        """
        different = [one for one in reversed(wanted) if self._differs(one)]
        if different and self.work.is_held_back(frontend, self._pace, different[0].ref):
            return True
        if any(one.ref in self._found for one in wanted):
            return all([await self._apply(one) for one in different])
        return all(await asyncio.gather(*map(self._apply, different)))

    async def _apply(self, one: Wanted) -> bool:
        found = self._found.get(one.ref)
        if not await self._requests.apply(one.ref, one.body, force=found is not None):
            return False
        self._sent[one.ref] = (one, found)
        return True

    async def _remove_all(self, refs: Iterable[Ref]) -> bool:
        return all([await self._remove(ref) for ref in refs])

    async def _remove(self, ref: Ref) -> bool:
        found = self._found[ref]
        if not await self._requests.delete(ref, found.metadata.uid):
            return False
        self._sent[ref] = (None, found)
        return True


def _scheme(listener: str) -> str:
    return listener.rpartition("/")[2]


def _taken(owner: Ref, service: Service) -> Problem:
    message = f"{service.ref} exists and was not made by nodegate, so {owner} cannot have the Service it needs."
    return SERVICE_NAME_TAKEN.found(owner, "metadata.name", message)
