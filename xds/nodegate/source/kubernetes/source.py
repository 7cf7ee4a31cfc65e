"""A Kubernetes cluster as the source: one informer for each resource, and what they hear as batches."""

from __future__ import annotations

import asyncio
import random
import time
from asyncio import TaskGroup, get_running_loop
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from types import MappingProxyType

import structlog

from nodegate.model.changes import Batch, ObjectChange, Upsert
from nodegate.model.objects import Object
from nodegate.model.problem import Problem
from nodegate.model.refs import Kind, Ref
from nodegate.source.kubernetes import codes
from nodegate.source.kubernetes.answers import Refused
from nodegate.source.kubernetes.backoff import Recovery
from nodegate.source.kubernetes.informer import Api, Informer
from nodegate.source.kubernetes.resources import WATCHED
from nodegate.source.problem_log import log_difference

log = structlog.get_logger(__name__)

_FORBIDDEN = 403

STORED_AFTER_SECONDS = 5.0
"""How long an API server may take to list everything before what an earlier run kept is served.

Long enough for a server that is there, so that proxies are not sent what is out of date only to be corrected; shorter
than the 15 s that Envoy waits for its first configuration.
"""

_SERVER = Ref(Kind.CLUSTER, "", "Kubernetes API")
_NOTHING: Mapping[Ref, Object] = MappingProxyType({})


class KubernetesSource:
    """Ingress, IngressClass, Service, EndpointSlice, TLS Secret, Namespace and Node of a cluster. A :class:`Source`.

    :meth:`run` follows the cluster and :meth:`batches` tells what it hears; both go on until cancelled. What is heard
    while nobody asks is joined. Nothing that the API server does ends either of them: it is a Problem, and everything
    delivered stays.
    """

    def __init__(
        self,
        api: Api,
        namespaces: Sequence[str] = (),
        *,
        stored: Mapping[Ref, Object] = _NOTHING,
        chance: Callable[[], float] = random.random,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Follow these namespaces, or all when none is named. ``clock`` gives Unix seconds, ``chance`` 0 to 1.

        ``stored`` is what an earlier run kept: the last good version of everything, and what is told when the server
        does not list everything soon.
        """
        self._clock = clock
        self._stored = stored
        self._stored_since: float | None = None
        self._epoch = 0.0  # Unix seconds when the event loop's clock was 0
        self._told: set[Ref] = set()
        self._confined = bool(namespaces)
        self._pending: dict[Ref, ObjectChange] = {}
        self._news = asyncio.Event()
        recovery = Recovery()
        self.informers = tuple(
            Informer(api, resource, self._take, namespace, chance, recovery)
            for resource in WATCHED
            for namespace in (namespaces if namespaces and resource.kind.namespaced else ("",))
        )

        for informer in self.informers:
            informer.begin_with(stored)

    async def run(self) -> None:
        """Follow the cluster until cancelled."""
        self._epoch = self._clock() - get_running_loop().time()
        async with TaskGroup() as tasks:
            for informer in self.informers:
                tasks.create_task(informer.run(), name=f"informer of {informer.resource.plural}")

    async def batches(self) -> AsyncIterator[Batch]:
        """Yield what exists, then every change; see :class:`nodegate.source.source.Source`.

        EndpointSlices come in batches of their own, as those need not wait for anything (DESIGN 3.1).
        """
        told: tuple[Problem, ...] = ()
        synced = False
        if self._stored and not await self._is_listed_soon():
            stale = self._tell_stored()
            log_difference(log, told, stale.problems)
            told = stale.problems
            yield stale
        while True:
            await self._news.wait()
            self._news.clear()
            changes, problems = self._drain(), self._problems()
            log_difference(log, told, problems)
            was_synced, synced = synced, synced or self._synced()
            slices = tuple(change for change in changes if change.ref.kind is Kind.ENDPOINT_SLICE)
            others = tuple(change for change in changes if change.ref.kind is not Kind.ENDPOINT_SLICE)
            if slices:
                yield Batch(slices, was_synced, problems)
            if others or problems != told or synced != was_synced:
                yield Batch(others, synced, problems)
            told = problems

    async def _is_listed_soon(self) -> bool:
        """Wait for the first listing; in time, it joins what is stored, which was never told."""
        try:
            async with asyncio.timeout(STORED_AFTER_SECONDS):
                while not self._synced():
                    await self._news.wait()
                    self._news.clear()
        except TimeoutError:
            return False
        finally:
            self._news.set()
        self._pending = {**{ref: Upsert(one) for ref, one in self._stored.items()}, **self._pending}
        return True

    def _tell_stored(self) -> Batch:
        """Return what is stored; what was listed since comes after it, as the difference to it."""
        self._stored_since = self._clock()
        self._told.update(self._stored)
        return Batch(tuple(map(Upsert, self._stored.values())), synced=False, problems=self._problems(), stale=True)

    def _take(self, changes: tuple[ObjectChange, ...]) -> None:
        for change in changes:
            self._pending.pop(change.ref, None)  # what changed last comes last
            self._pending[change.ref] = change
        self._news.set()

    def _drain(self) -> tuple[ObjectChange, ...]:
        """Return what is pending; an object that came and went unseen is nothing."""
        pending, self._pending = self._pending, {}
        changes = tuple(c for c in pending.values() if isinstance(c, Upsert) or c.ref in self._told)
        for change in changes:
            (self._told.add if isinstance(change, Upsert) else self._told.discard)(change.ref)
        return changes

    def _synced(self) -> bool:
        return all(informer.listed or self._may_be_missing(informer) for informer in self.informers)

    def _may_be_missing(self, informer: Informer) -> bool:
        """A Role cannot grant resources of the cluster; an operator who confines nodegate does without them."""
        return self._confined and not informer.resource.kind.namespaced and _denied(informer)

    # --- Problems --------------------------------------------------------------------------------------------------

    def _problems(self) -> tuple[Problem, ...]:
        """Return what is wrong with single objects, which rules are missing, and whether the server is gone."""
        of_objects = [problem for informer in self.informers for problem in informer.replica.broken.values()]
        denied = [_access_denied(informer) for informer in self.informers if _denied(informer)]
        silent = [informer for informer in self.informers if informer.trouble and not _denied(informer)]
        found = [*of_objects, *denied, *([self._unreachable(silent)] if silent else []), *self._served_from_state()]
        return tuple(sorted(found))

    def _served_from_state(self) -> list[Problem]:
        unlisted = sorted({informer.resource.plural for informer in self.informers if not informer.listed})
        if self._stored_since is None or self._synced():
            return []
        since = _shown(self._stored_since)
        message = f"What an earlier run kept is served since {since}; not listed yet: {', '.join(unlisted)}."
        return [replace(codes.SERVED_FROM_STATE.found(_SERVER, "", message), about="state")]

    def _unreachable(self, silent: Sequence[Informer]) -> Problem:
        first = min(silent, key=lambda informer: informer.trouble_since)
        when = _shown(self._epoch + first.trouble_since)
        whose = ", ".join(sorted({informer.resource.plural for informer in silent}))
        message = f"The API server has not served {whose} since {when}: {first.trouble}"
        return replace(codes.API_UNREACHABLE.found(_SERVER, "", message), about="server")


def _shown(time: float) -> str:
    """Return Unix seconds as people read them."""
    return datetime.fromtimestamp(int(time), UTC).isoformat().replace("+00:00", "Z")


def _denied(informer: Informer) -> bool:
    return isinstance(informer.trouble, Refused) and informer.trouble.status == _FORBIDDEN


def _access_denied(informer: Informer) -> Problem:
    """Name the missing rule as it has to be written."""
    resource = informer.resource
    rule = f'apiGroups: ["{resource.group}"], resources: ["{resource.plural}"], verbs: ["list", "watch"]'
    where = f"a Role in namespace {informer.namespace}" if informer.namespace else "the ClusterRole"
    if informer.namespace and not resource.kind.namespaced:
        where = "a ClusterRole"
    return codes.ACCESS_DENIED.found(
        Ref(resource.kind, informer.namespace, "*"),
        "",
        f"The API server does not allow nodegate to list and watch {resource.plural}: {informer.trouble}",
        f"Add to {where} of nodegate's ServiceAccount: {rule}.",
    )
