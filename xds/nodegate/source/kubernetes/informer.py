"""One resource, listed and then followed, for as long as the process lives.

Three loops, one duty each. :meth:`Informer.run` outlives every failure and leaves the server alone in between.
``_follow`` lists when it has no version to go on from, and otherwise begins one watch after the other. ``_watch`` is
one request: it applies events until the server ends it, as it does every few minutes.

Sources: "Efficient detection of changes" and "Streaming lists" in the Kubernetes API concepts.
"""

from __future__ import annotations

import asyncio
import random
from asyncio import get_running_loop
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from typing import Protocol, TypeVar

import msgspec
import structlog

from nodegate.model.changes import ObjectChange
from nodegate.model.objects import Object
from nodegate.model.refs import Ref
from nodegate.source.kubernetes.answers import GONE, Expired, Interrupted, NotServed, Refused, Untrusted
from nodegate.source.kubernetes.backoff import Backoff, Recovery
from nodegate.source.kubernetes.replica import Found, Replica, find
from nodegate.source.kubernetes.resources import Resource
from nodegate.source.kubernetes.stream import Event, Lines, read_event, read_head, read_page

log = structlog.get_logger(__name__)

QUIET_SECONDS = 90.0
"""A watch that says nothing for so long is begun anew. Bookmarks come every minute where anything changes at all."""
WATCH_SECONDS = (300, 600)
"""How long the server is asked to let one watch last; by chance within it, so that watches do not end together."""
SHORT_SECONDS = 1.0
"""A watch that ends sooner than this without an event was no watch."""
PAGE_SIZE = 500
_UNAUTHORIZED, _FORBIDDEN = 401, 403
_STREAM_REFUSED = (400, 422)
_CURED_BY_ITSELF = (_UNAUTHORIZED, GONE)

T = TypeVar("T")
R = TypeVar("R")


class Chunks(Protocol):
    """The body of an answer."""

    def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body as it arrives; raises Interrupted when the connection breaks."""

    async def read(self) -> bytes:
        """Return the whole body; raises Interrupted when the connection breaks."""


class Api(Protocol):
    """Where requests go."""

    def get(self, path: str, query: Mapping[str, str]) -> AbstractAsyncContextManager[Chunks]:
        """Ask for a path; entering raises Refused for any answer but 200, and Interrupted when none comes."""

    async def renew(self) -> None:
        """Read credentials anew, if that is possible: one side did not accept those at hand. Never raises."""


class Informer:
    """Follows one resource and hands on what changes. ``deliver`` gets changes, or nothing when only trouble is new.

    ``listed`` says that everything has been handed on once. ``trouble`` is why the server does not serve now, since
    ``trouble_since`` (event loop's clock). ``last_event`` is when anything was last heard, by the same clock.
    """

    def __init__(
        self,
        api: Api,
        resource: Resource,
        deliver: Callable[[tuple[ObjectChange, ...]], None],
        namespace: str = "",
        chance: Callable[[], float] = random.random,
        recovery: Recovery | None = None,
    ) -> None:
        """Follow the resource in one namespace, or in all; informers of one server share their ``recovery``."""
        self.resource = resource
        self.namespace = namespace
        self.replica = Replica()
        self.listed = False
        self.trouble: NotServed | None = None
        self.trouble_since = 0.0
        self.last_event = 0.0
        self.restarts: Counter[str] = Counter()
        self._api = api
        self._deliver = deliver
        self._chance = chance
        self._backoff = Backoff(chance=chance)
        self._recovery = recovery or Recovery()
        self._version = ""
        self._streams = True
        self._listing: dict[Ref, Found] | None = None

    def begin_with(self, objects: Mapping[Ref, Object]) -> None:
        """Take what is known from an earlier run as told already: the first listing hands on the difference to it."""
        kind, namespace = self.resource.kind, self.namespace
        mine = {ref: one for ref, one in objects.items() if ref.kind is kind and namespace in {"", ref.namespace}}
        self.replica.objects.update(mine)

    async def run(self) -> None:
        """Follow until cancelled; nothing that a server does ends it."""
        self.last_event = get_running_loop().time()
        while True:
            try:
                await self._follow()
            except NotServed as why:
                await self._endure(why)

    async def _endure(self, why: NotServed) -> None:
        """Note a failure, do what helps against it, and wait."""
        if isinstance(why, Expired):
            self._version = ""
        code = why.status
        if code == _UNAUTHORIZED or isinstance(why, Untrusted):
            await self._api.renew()
        at_once = code in _CURED_BY_ITSELF and not self._backoff.failures
        pause = self._backoff.next(why.retry_after)
        self.restarts[str(code) if code else "interrupted"] += 1
        self._note_trouble(None if at_once else why)
        if isinstance(why, Interrupted):
            await self._recovery.wait(pause)
        elif not at_once:
            await asyncio.sleep(pause)

    async def _follow(self) -> None:
        while True:
            if not self._version and not self._streams:
                await self._list()
            try:
                await self._watch()
            except Refused as why:
                if self._version or not self._streams or why.status not in _STREAM_REFUSED:
                    raise
                self._streams = False  # a server without streaming lists

    # --- Listing in pages ------------------------------------------------------------------------------------------

    async def _list(self) -> None:
        """List everything in pages; a 410 between two of them starts again without pages."""
        try:
            await self._list_pages(PAGE_SIZE)
        except Expired:
            await self._list_pages(0)

    async def _list_pages(self, size: int) -> None:
        listing: dict[Ref, Found] = {}
        token, version = "", ""
        while True:
            query = self._query(limit=str(size) if size else "", **{"continue": token})
            async with self._quiet_ends(), self._api.get(self._path, query) as answer:
                page = _decoded(read_page, await answer.read())
            for raw in page.items or ():
                found = _decoded(self._find, raw)
                listing[found.ref] = found
            version = page.metadata.resource_version or version
            token = page.metadata.continue_
            if not token:
                self._complete(listing, version)
                return

    def _complete(self, listing: Mapping[Ref, Found], version: str) -> None:
        """Hand on a whole listing, with the deletions that nobody was there to see."""
        self._version, self._listing = version, None
        self.listed = True
        self._heard()
        self._deliver(self.replica.replace(listing))

    # --- One watch -------------------------------------------------------------------------------------------------

    async def _watch(self) -> None:
        """Apply events from the known version on, or stream the listing first when there is none."""
        began, self._listing = get_running_loop().time(), None if self._version else {}
        heard_before, answered = self.last_event, False
        try:
            async with self._quiet_ends() as deadline, self._api.get(self._path, self._watch_query()) as answer:
                lines, answered = Lines(), True
                with self._well_if_open():
                    async for chunk in answer.chunks():
                        deadline.reschedule(get_running_loop().time() + QUIET_SECONDS)
                        for line in lines.feed(chunk):
                            self._apply(_decoded(read_event, line))
        except _Silent:
            if not answered:
                raise
            if self._listing is not None:
                self._streams = False  # it may be a server that does not know of streaming lists, and waits
                raise
            self.restarts["silent"] += 1
            return
        if self._listing is not None:
            raise Interrupted("The server ended the listing before it was complete.")
        if self.last_event == heard_before and get_running_loop().time() - began < SHORT_SECONDS:
            raise Interrupted("The server ended the watch at once.")
        self.restarts["ended"] += 1

    @contextmanager
    def _well_if_open(self) -> Iterator[None]:
        """End the trouble once a watch has been open for a moment: its first event may be a minute away."""
        if self._listing is not None:
            yield
            return
        well = get_running_loop().call_later(SHORT_SECONDS, self._note_trouble, None)
        try:
            yield
        finally:
            well.cancel()

    def _apply(self, event: Event) -> None:
        if event.type == "BOOKMARK":
            self._bookmark(event.object)
            return
        found = _decoded(self._find, event.object)
        if self._listing is not None:
            self._collect(event.type, found, self._listing)
            return
        self._version = found.version
        self._heard()
        changes = self.replica.remove(found.ref) if event.type == "DELETED" else self.replica.put(found)
        if changes or found.object is None:
            self._deliver(changes)

    def _collect(self, what: str, found: Found, listing: dict[Ref, Found]) -> None:
        if what == "DELETED":
            listing.pop(found.ref, None)
        else:
            listing[found.ref] = found

    def _bookmark(self, raw: msgspec.Raw) -> None:
        head = _decoded(read_head, raw)
        if self._listing is None:
            self._version = head.version
            self._heard()
        elif head.ends_listing:
            self._complete(self._listing, head.version)

    def _watch_query(self) -> dict[str, str]:
        low, high = WATCH_SECONDS
        query = self._query(
            watch="true", allowWatchBookmarks="true", timeoutSeconds=str(round(low + (high - low) * self._chance()))
        )
        if self._version:
            return {**query, "resourceVersion": self._version}
        return {**query, "sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"}

    # --- What all of them do ---------------------------------------------------------------------------------------

    @property
    def _path(self) -> str:
        return self.resource.path(self.namespace)

    def _query(self, **more: str) -> dict[str, str]:
        query = {"fieldSelector": self.resource.field_selector, **more}
        return {name: value for name, value in query.items() if value}

    def _find(self, raw: msgspec.Raw) -> Found:
        return find(self.resource, raw)

    @asynccontextmanager
    async def _quiet_ends(self) -> AsyncIterator[asyncio.Timeout]:
        """End what is silent for too long: a connection may be dead without anybody saying so."""
        try:
            async with asyncio.timeout(QUIET_SECONDS) as deadline:
                yield deadline
        except TimeoutError as error:
            raise _Silent(f"The server said nothing for {QUIET_SECONDS:g} seconds.") from error

    def _heard(self) -> None:
        self.last_event = get_running_loop().time()
        self._backoff.reset()
        self._note_trouble(None)

    def _note_trouble(self, why: NotServed | None) -> None:
        before, self.trouble = self.trouble, why
        if why is not None and before is None:
            self.trouble_since = get_running_loop().time()
        if why is None and isinstance(before, Interrupted):
            self._recovery.tell()
        if str(before) != str(why):
            self._deliver(())


class _Silent(Interrupted):
    """Nothing came for too long."""


def _decoded(read: Callable[[T], R], raw: T) -> R:
    """Read what a server sent; what is not what it should be is as good as a broken connection."""
    try:
        return read(raw)
    except msgspec.DecodeError as error:
        raise Interrupted(f"The server sent what is no object of the API: {error}.") from error
