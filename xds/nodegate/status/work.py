"""Things to look at, each by one of a few workers, and again later where it failed."""

from __future__ import annotations

import asyncio
from asyncio import TaskGroup, get_running_loop
from collections.abc import Awaitable, Callable, Hashable, Iterable
from typing import Generic, TypeVar

import structlog

from nodegate.status.pace import Buckets

log = structlog.get_logger(__name__)

WORKERS = 8
"""Requests under way together: 2,000 Ingresses are written in seconds, and the API server is not flooded."""
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
_TOO_OFTEN = "%s has to be written again and again; the next time is in %.0f s. Is there another controller for it?"

Key = TypeVar("Key", bound=Hashable)


class Work(Generic[Key]):
    """Calls ``do`` for every key that is added, never twice at once for one key.

    What is added while it is worked on is worked on once more. ``do`` returns False for what is to be tried again:
    after half a second, and twice as long each time.
    """

    def __init__(self, do: Callable[[Key], Awaitable[bool]]) -> None:
        self._do = do
        self._queued: dict[Key, None] = {}
        self._busy: set[Key] = set()
        self._failures: dict[Key, int] = {}
        self._waiting: set[Key] = set()
        self._wake = asyncio.Event()

    def __len__(self) -> int:
        """Return how many keys are not done, those that wait for another try or for their turn included."""
        return len(self._queued.keys() | self._busy | self._failures.keys() | self._waiting)

    def add(self, keys: Iterable[Key]) -> None:
        """Let these be looked at."""
        self._queued.update(dict.fromkeys(keys))
        if self._queued:
            self._wake.set()

    def later(self, key: Key, seconds: float) -> bool:
        """Let this be looked at when it is its turn, in so many seconds; return False where that was said before."""
        if key in self._waiting:
            return False
        self._waiting.add(key)
        get_running_loop().call_later(seconds, self._turn, key)
        return True

    def is_held_back(self, key: Key, pace: Buckets, what: object) -> bool:
        """Say whether something may not be written yet, as it was so often; it is looked at when it may.

        ``what`` is its name for the log, which says so once for each wait.
        """
        pause = pace.pause(key, get_running_loop().time())
        if pause and self.later(key, pause):
            log.warning(_TOO_OFTEN, what, pause)
        return bool(pause)

    def _turn(self, key: Key) -> None:
        self._waiting.discard(key)
        self.add([key])

    async def run(self) -> None:
        """Work until cancelled."""
        async with TaskGroup() as tasks:
            for _ in range(WORKERS):
                tasks.create_task(self._worker())

    async def _worker(self) -> None:
        while True:
            key = await self._next()
            self._busy.add(key)
            done = False
            try:
                done = await self._do(key)
            finally:
                self._busy.discard(key)
            self._failures.pop(key, None) if done else self._try_later(key)
            self._wake.set()
            await asyncio.sleep(0)  # thousands of keys with nothing to send must not hold up the streams

    async def _next(self) -> Key:
        while True:
            for key in self._queued:
                if key not in self._busy:
                    del self._queued[key]
                    return key
            self._wake.clear()
            await self._wake.wait()

    def _try_later(self, key: Key) -> None:
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        get_running_loop().call_later(min(FIRST_PAUSE * 2.0**failures, LONGEST_PAUSE), self.add, (key,))
