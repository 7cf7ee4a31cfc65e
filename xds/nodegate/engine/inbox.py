"""What happens next, one thing at a time: a batch of the source, news of a client, or a deadline that passes."""

from __future__ import annotations

import asyncio
from asyncio import Queue, get_running_loop
from collections.abc import AsyncIterator, Callable, Mapping
from enum import Enum, auto

from nodegate.model.changes import Batch


class Due(Enum):
    """What happens without a batch. Of two deadlines that are the same the first of these comes first."""

    HOLD_OFF = auto()
    REVIEW = auto()
    EXPIRY = auto()
    RETRY = auto()


class Inbox:
    """Hands out events to one reader."""

    def __init__(self, deadlines: Callable[[], Mapping[Due, float | None]]) -> None:
        """``deadlines`` says when what is due happens, on the event loop's clock; None is never."""
        self._deadlines = deadlines
        self._queue: Queue[Batch | Due] = Queue()
        self._review_asked = False

    async def read(self, batches: AsyncIterator[Batch]) -> None:
        """Take in one batch at a time: the source joins what comes meanwhile."""
        async for batch in batches:
            self._queue.put_nowait(batch)
            await self._queue.join()

    def ask_review(self) -> None:
        """Let there be a review after what is taken in already; one, however often it is asked for meanwhile."""
        if not self._review_asked:
            self._review_asked = True
            self._queue.put_nowait(Due.REVIEW)

    async def next(self) -> Batch | Due:
        """Return what happens next. A deadline that has passed comes first: batches cannot starve it."""
        due, deadline = self._next_deadline()
        if deadline is not None and deadline <= get_running_loop().time():
            return due
        try:
            async with asyncio.timeout_at(deadline):
                event = await self._queue.get()
        except TimeoutError:
            return due
        self._queue.task_done()
        if event is Due.REVIEW:
            self._review_asked = False
        return event

    def _next_deadline(self) -> tuple[Due, float | None]:
        set_ones = [(at, due) for due, at in self._deadlines().items() if at is not None]
        if not set_ones:
            return Due.HOLD_OFF, None
        deadline, due = min(set_ones, key=lambda one: (one[0], one[1].value))
        return due, deadline
