"""How long to leave a server alone that does not serve."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress


class Backoff:
    """Twice as long each time, up to ``longest`` seconds, and half of it by chance, so that replicas part ways."""

    def __init__(self, first: float = 0.5, longest: float = 30.0, chance: Callable[[], float] = random.random) -> None:
        """``chance`` gives numbers from 0 to 1."""
        self._first = first
        self._longest = longest
        self._chance = chance
        self._failures = 0

    @property
    def failures(self) -> int:
        """How often in a row it has failed."""
        return self._failures

    def next(self, at_least: float | None = None) -> float:
        """Return how many seconds to wait now; ``at_least`` is what the server asked for."""
        whole = min(self._longest, self._first * 2.0 ** min(self._failures, 16))
        self._failures += 1
        return (at_least or 0.0) + whole * (0.5 + 0.5 * self._chance())

    def reset(self) -> None:
        """The server serves again."""
        self._failures = 0


class Recovery:
    """What all informers of a server share: the first that is served again ends the waiting of the others."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def tell(self) -> None:
        """The server serves again."""
        self._event.set()
        self._event = asyncio.Event()

    async def wait(self, seconds: float) -> None:
        """Wait for so long, or until the server is known to serve again."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._event.wait()
