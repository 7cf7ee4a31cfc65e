"""Tells streams that there is a new target. State and a wake-up, no queue: a slow stream skips what it missed."""

from __future__ import annotations

from asyncio import Event
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from nodegate.snapshot.target import Target


class Publisher:
    """Holds the current target and wakes whoever watches it. Used on one event loop only."""

    def __init__(self) -> None:
        self._target: Target | None = None
        self._watchers: set[Callable[[], None]] = set()

    @property
    def target(self) -> Target | None:
        """The current target; None until the sources have listed everything once (xds-protocol 47)."""
        return self._target

    def publish(self, target: Target) -> None:
        """Make this the current target and wake every watcher, unless it is the current one already."""
        if target is self._target:
            return
        self._target = target
        self.wake()

    def wake(self) -> None:
        """Wake every watcher, though the target is the same: what it waits for may have come."""
        for watcher in self._watchers:
            watcher()

    @contextmanager
    def calling(self, watcher: Callable[[], None]) -> Iterator[None]:
        """Call this at every publication for as long as the context lasts; it is to take note and return at once."""
        self._watchers.add(watcher)
        try:
            yield
        finally:
            self._watchers.discard(watcher)

    @contextmanager
    def watch(self) -> Iterator[Event]:
        """Give an event that is set at every publication; the watcher clears it before it looks at the target."""
        event = Event()
        with self.calling(event.set):
            yield event
