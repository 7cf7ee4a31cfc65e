"""What a cluster held, kept in the state folder, so that a start without the API server has something to serve.

``STATE_DIR/cluster.jsonl`` is made once as a whole; then every change is one line at its end, a moment after it came,
until the lines are as much as the whole was and it is made anew. So an endpoint change costs the size of its slice
and not that of the cluster, and whatever happens the file is what the cluster was at one moment (decision 0017).
"""

from __future__ import annotations

import asyncio
from asyncio import to_thread
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from threading import Lock

import structlog

from nodegate import __version__
from nodegate.durable import append_to, replace_file
from nodegate.model.changes import Batch, Upsert
from nodegate.model.objects import Object
from nodegate.model.refs import Ref
from nodegate.source.kubernetes.stored import Changes, NotUnderstood, read, record, whole

log = structlog.get_logger(__name__)

FILE_NAME = "cluster.jsonl"
GATHER_SECONDS = 1.0
"""How long changes are gathered into one line; so much of the newest may be missing after a crash."""
RETRY_SECONDS = 30.0
MOST_IN_A_LINE = 2000
"""Encoding a line holds up the event loop, 5 ms for so many slices; a whole is encoded piece by piece."""
SPARE_BYTES = 1 << 20
"""A small journal is not made anew for a few lines."""


class Journal:
    """The journal of one cluster. :meth:`keeping` notes what a source tells, :meth:`run` writes it down.

    Nothing is written before the source has listed everything: half a listing would be half a cluster.
    """

    def __init__(self, state_dir: Path, source: str, keep: Callable[[Object], Object]) -> None:
        """``source`` tells clusters apart; ``keep`` returns of an object what may be written down."""
        self.path = state_dir / FILE_NAME
        self._source = source
        self._keep = keep
        self._objects: dict[Ref, Object] = {}
        self._news: dict[Ref, Object | None] = {}
        self._synced = False
        self._awake = asyncio.Event()
        self._writing = Lock()  # a write goes on in its thread although its task was cancelled
        self._whole_size = self._size = 0  # bytes; 0: the file has to be made

    def load(self) -> dict[Ref, Object]:
        """Return what an earlier run kept, if it can be used; else the file is set aside. Does blocking I/O."""
        try:
            with self.path.open("rb") as lines:
                self._objects, is_whole = read(lines, self._source)
                size = lines.tell()
        except FileNotFoundError:
            return {}
        except NotUnderstood as why:
            self._set_aside(str(why))
            return {}
        except OSError as error:
            log.warning("The kept state of the cluster cannot be read.", file=str(self.path), reason=error.strerror)
            return {}
        if is_whole:
            self._whole_size = self._size = size
        return dict(self._objects)

    async def keeping(self, batches: AsyncIterator[Batch]) -> AsyncIterator[Batch]:
        """Pass a source's batches on, and note what they say."""
        async for batch in batches:
            if not batch.stale:  # what this journal said itself
                self._note(batch)
            yield batch

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            await self._awake.wait()
            await asyncio.sleep(GATHER_SECONDS)
            if not await self.write():
                await asyncio.sleep(RETRY_SECONDS)

    async def write(self) -> bool:
        """Write what is noted; return False, and log why, when that failed. It is then noted still."""
        self._awake.clear()
        if not self._synced or not self._news:
            return True
        news, self._news = self._news, {}
        try:
            await to_thread(self._write, news)
        except OSError as error:
            self._news = news | self._news
            self._whole_size = 0  # a part of a line may be there
            self._awake.set()
            log.error(  # noqa: TRY400  # the sentence says it all
                "The state of the cluster cannot be kept for a start without the API server.",
                file=str(self.path),
                reason=error.strerror,
            )
            return False
        return True

    def _note(self, batch: Batch) -> None:
        for change in batch.changes:
            self._news[change.ref] = change.object if isinstance(change, Upsert) else None
        self._synced = batch.synced
        if self._synced and self._news:
            self._awake.set()

    # --- In a thread -------------------------------------------------------------------------------------------------

    def _write(self, news: Changes) -> None:
        with self._writing:
            changes = self._take(news)
            if changes or not self._whole_size:
                self._put(changes)

    def _take(self, news: Changes) -> Changes:
        """Take note of what may be kept of news, and return what differs from what is kept."""
        kept = {ref: None if content is None else self._keep(content) for ref, content in news.items()}
        changes = {ref: content for ref, content in kept.items() if content != self._objects.get(ref)}
        for ref, content in changes.items():
            if content is None:
                del self._objects[ref]
            else:
                self._objects[ref] = content
        return changes

    def _put(self, changes: Changes) -> None:
        if not self._whole_size or len(changes) > MOST_IN_A_LINE:
            self._put_whole()
            return
        line = record(changes)
        if self._size + len(line) > 2 * self._whole_size + SPARE_BYTES:
            self._put_whole()
        else:
            append_to(self.path, line)
            self._size += len(line)

    def _put_whole(self) -> None:
        self._whole_size = self._size = replace_file(self.path, whole(self._objects, self._source, __version__))

    def _set_aside(self, why: str) -> None:
        aside = self.path.with_suffix(".set-aside")
        log.warning("The kept state of the cluster is not used and is set aside.", reason=why, file=str(aside))
        try:
            self.path.replace(aside)
        except OSError as error:
            log.warning("It cannot be moved away.", file=str(self.path), reason=error.strerror)
