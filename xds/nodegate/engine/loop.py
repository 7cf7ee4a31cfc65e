"""The one event loop.

These things can happen, and only one of them happens at a time:

1. The source yields a **batch**. Before the first full listing it is only gathered, unless it is all that an earlier
   run knew: that is served, marked stale, until the listing is complete. If nothing but EndpointSlices
   change, it is translated and published at once, except what would empty or remove something; everything else starts
   or prolongs the hold-off, which a new Ingress need not wait for after half a second of rest.
2. The **hold-off ends**: everything gathered is translated as one and published.
3. A **client has said something**: who it is, or that it rejects a resource. What follows from it for the objects is
   a change like any other, and is published at once (DESIGN 2, quarantine). A port that a node cannot use is no fault
   of an object: its listener moves to another one (redirect 5).
4. A **retry is due**: a port that rested is free for a listener that waits, or kept claims could not be written.
5. A **day has passed** since certificates were looked at, which expire without any change.

A batch of nothing but Services on which ports are claimed is translated and published at once, too: the Ingress they
belong to has waited for its hold-off already.
"""

from __future__ import annotations

import asyncio
import time
from asyncio import TaskGroup, get_running_loop
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import Any

import structlog

from nodegate.debug.state import State
from nodegate.engine.claiming import Claiming, Resources
from nodegate.engine.emptying import Emptyings, empties
from nodegate.engine.holdoff import HoldOff
from nodegate.engine.inbox import Due, Inbox
from nodegate.engine.keeping import Keeper
from nodegate.engine.problems import Finder, Problems
from nodegate.engine.refusals import Refusals
from nodegate.engine.translation import Translation
from nodegate.model.changes import Batch, Change, Delete, ObjectChange, Upsert
from nodegate.model.objects import Object
from nodegate.model.problem import Problem
from nodegate.model.refs import Kind, Ref
from nodegate.ports import Ports, PortStore
from nodegate.server.clients import Clients
from nodegate.snapshot.publisher import Publisher
from nodegate.snapshot.resource import Entry, Key
from nodegate.snapshot.type_urls import ENDPOINT
from nodegate.snapshot.votes import Votes
from nodegate.status.quarantine import Quarantine

log = structlog.get_logger(__name__)

RETRY_SECONDS = 30.0
"""How long to wait before claims that could not be written, or objects that failed, are tried again."""


class Engine:
    """Drives the flow from a source to a publisher. ``state`` is what it lets others see; run it once."""

    def __init__(
        self,
        translation: Translation[Any],
        claims: Ports,
        publisher: Publisher,
        *,
        clients: Clients | None = None,
        store: PortStore | None = None,
        hold_off: HoldOff | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Serve ``clients``, whose verdicts count, and keep claims in ``store``, if there are such.

        ``clock`` gives Unix seconds and decides how long ports rest.
        """
        self.state = State()
        self._translation = translation
        self._claims = claims
        self._publisher = publisher
        self._keeper = Keeper(claims, store)
        self._hold_off = hold_off or HoldOff()
        self._clock = clock
        self._clients = clients if clients is not None else Clients()  # without any it is falsy
        self._quarantine = Quarantine()
        self._refusals = Refusals()
        self._inbox = Inbox(self._deadlines)
        self._objects: dict[Ref, Object] = {}
        self._pending: dict[Ref, ObjectChange] = {}
        self._held: Resources = {}
        self._emptyings = Emptyings()
        self._problems = Problems()
        self._claiming = Claiming(translation, claims, self._problems, clock)
        self._taken = 0
        self._retry_at: float | None = None
        self._review_at: float | None = None
        self._stepped = asyncio.Event()
        self.state.objects, self.state.ports = self._objects, claims.ports
        self.state.problems, self.state.listeners = self._problems.by_object, translation.listeners

    async def run(self, batches: AsyncIterator[Batch]) -> None:
        """Handle everything that happens until cancelled. What the source raises ends it."""
        async with TaskGroup() as group:
            group.create_task(self._inbox.read(batches), name="source")
            self._clients.on_news = self._inbox.ask_review
            while True:
                await self._handle(await self._inbox.next())
                self._show()

    def watch_problems(self, on_change: Callable[[Ref, tuple[Problem, ...]], None]) -> None:
        """Let somebody know of every object whose problems have changed, with all that there are now."""
        self._problems.on_change = on_change

    def report(self, found: Mapping[Ref, tuple[Problem, ...]]) -> None:
        """Take over everything that those who write to a cluster find wrong with objects now."""
        self._problems.replace(Finder.CLUSTER, found)
        self._show()

    async def until(self, condition: Callable[[State], bool]) -> State:
        """Wait until the state after some event fulfils a condition."""
        while not condition(self.state):
            await self._stepped.wait()
        return self.state

    def _deadlines(self) -> dict[Due, float | None]:
        return {
            Due.HOLD_OFF: self._hold_off.deadline,
            Due.REVIEW: self._review_at,
            Due.EXPIRY: self._claiming.expiry.deadline,
            Due.RETRY: self._retry_at,
        }

    async def _handle(self, event: Batch | Due) -> None:
        match event:
            case Batch():
                await self._take(event)
            case Due.HOLD_OFF:
                await self._flush()
            case Due.REVIEW:
                await self._review()
            case Due.EXPIRY:
                self._claiming.expiry.look()
            case Due.RETRY:
                await self._retry()

    # --- 1. a batch ---------------------------------------------------------------------------------------------------

    async def _take(self, batch: Batch) -> None:
        self._taken += 1
        self.state.changes += len(batch.changes)
        self.state.sources = batch.problems
        adds = all(self._adds_an_ingress(change) for change in batch.changes)
        self._remember(batch.changes)
        if not self.state.synced:
            self._gather(batch.changes)
            if batch.synced or batch.stale:
                await self._first_listing(stale=batch.stale)
        elif all(change.ref.kind is Kind.ENDPOINT_SLICE for change in batch.changes):
            await self._take_slices(batch.changes)
        elif all(map(self._claims.reads, batch.changes)):
            await self._take_claims(batch.changes)
        else:
            self._gather(batch.changes)
            self._hold_off.touch(get_running_loop().time(), adds=adds)

    def _adds_an_ingress(self, change: ObjectChange) -> bool:
        """Nothing is taken from anybody by an Ingress that was not there: whatever it claims, the older wins."""
        return change.ref.kind is Kind.INGRESS and isinstance(change, Upsert) and change.ref not in self._objects

    def _remember(self, changes: Iterable[ObjectChange]) -> None:
        for change in changes:
            if isinstance(change, Delete):
                self._objects.pop(change.ref, None)
            else:
                self._objects[change.ref] = change.object

    def _gather(self, changes: Iterable[ObjectChange]) -> None:
        for change in changes:
            self._pending[change.ref] = change

    async def _take_slices(self, changes: tuple[ObjectChange, ...]) -> None:
        """Publish new endpoints at once; keep back what takes something away, for the next batch (DESIGN 3.1)."""
        if not changes:
            return
        for change in changes:
            self._pending.pop(change.ref, None)
        self.state.fast += 1
        now, at_once = get_running_loop().time(), Resources()
        for key, entry in self._translate(changes).items():
            if self._adds_only(key, entry):
                self._held.pop(key, None)
                at_once[key] = entry
            else:
                self._held[key] = entry
                self._emptyings.seen(key, now)
        if self._held:
            self._hold_off.touch(now)
        await self._publish(at_once)

    async def _take_claims(self, changes: tuple[ObjectChange, ...]) -> None:
        """Give listeners the ports that were written for them."""
        for change in changes:
            self._pending.pop(change.ref, None)
        await self._publish(self._translate(changes))

    def _adds_only(self, key: Key, entry: Entry | None) -> bool:
        return key[0] == ENDPOINT and entry is not None and not empties(self.state.target, key, entry)

    # --- 2. the hold-off ends -----------------------------------------------------------------------------------------

    async def _first_listing(self, *, stale: bool) -> None:
        changes, self._pending = tuple(self._pending.values()), {}
        resources = self._translate(changes, first=True)
        self.state.synced, self.state.stale = not stale, stale
        await self._publish(resources)
        what = "What an earlier run kept is served." if stale else "The first listing is served."
        log.info(what, objects=len(self._objects), problems=len(self.state.all_problems()))

    async def _flush(self) -> None:
        changes, self._pending = tuple(self._pending.values()), {}
        resources = self._held | (self._translate(changes) if changes else {})
        now = get_running_loop().time()
        resources, self._held = self._emptyings.split(self.state.target, resources, now)
        self._hold_off.end(until=self._emptyings.deadline)
        await self._publish(resources)

    # --- 3. a client has said something -------------------------------------------------------------------------------

    async def _review(self) -> None:
        """Let the quarantine decide on what clients reject; its decision is a change that does not wait."""
        now = get_running_loop().time()
        resources, votes = self._move_refused(self._clients.votes(self.state.target))
        review = self._quarantine.review(votes, self._clients.node_ids(), now)
        self._review_at = None if review.again_in is None else now + review.again_in
        self._problems.replace(Finder.PROXIES, review.problems)
        if review.changes:
            resources |= self._translate(review.changes)
        if resources:
            await self._publish(resources)

    def _move_refused(self, votes: tuple[Votes, ...]) -> tuple[Resources, tuple[Votes, ...]]:
        """Move listeners whose ports a node cannot use; return what that changes, and the votes about content."""
        held = self._clients.held_ports(self.state.target)
        votes, refused = self._refusals.take(votes, held, self._claims.ports)
        return self._claiming.move(refused), votes

    # --- 4. a retry is due --------------------------------------------------------------------------------------------

    async def _retry(self) -> None:
        self._retry_at = None
        failed = self._translation.worth_retrying
        resources = self._translate(failed) if failed else {}
        resources |= self._claiming.give_rested()
        await self._publish(resources)

    def _plan_retry(self, *, unwritten: bool) -> None:
        """Decide when to try again what did not work, unless that is decided already."""
        now, waits = get_running_loop().time(), []
        if unwritten or self._translation.worth_retrying:
            waits.append(RETRY_SECONDS)
        rested = self._claiming.next_rested()
        if rested is not None:
            waits.append(rested)
        if not waits:
            self._retry_at = None
        elif self._retry_at is None or now + min(waits) < self._retry_at:
            self._retry_at = now + min(waits)

    # --- what all of them do ------------------------------------------------------------------------------------------

    def _translate(self, changes: Iterable[Change], *, first: bool = False) -> Resources:
        """Translate changes; the quarantine and the claims see those of objects first."""
        started = time.perf_counter()
        changes = tuple(changes)
        of_objects = [change for change in changes if isinstance(change, Upsert | Delete)]
        self._quarantine.observe(of_objects)
        self._claims.observe(of_objects)
        if self._problems.found_by(Finder.PROXIES):
            self._inbox.ask_review()
        resources = self._claiming.first(changes) if first else self._claiming.translate(changes)
        self.state.translate.observe(time.perf_counter() - started)
        return resources

    async def _publish(self, resources: Mapping[Key, Entry | None]) -> None:
        """Keep the claims, then let the streams see these resources: a port is not served before it is kept."""
        self._plan_retry(unwritten=not await self._keeper.keep())
        target = self.state.target.apply(resources).mark(stale=self.state.stale)
        if target is not self.state.target or self._publisher.target is None:
            self.state.target = target
            self.state.published = self._clock()
            self.state.publications += 1
            self._publisher.publish(target)

    def _show(self) -> None:
        state = self.state
        state.pending, state.held = len(self._pending), len(self._held)
        state.internal_errors = self._translation.failures
        if state.synced and not self._pending and not self._held:
            state.sequence = self._taken
        self._stepped.set()
        self._stepped = asyncio.Event()
