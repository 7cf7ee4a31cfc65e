"""Looks for certificates that have expired or soon will: whenever one that is served changes, and once a day.

Time alone makes these problems, so they need a deadline of their own. While no certificate is served there is none.
"""

from __future__ import annotations

from asyncio import get_running_loop
from collections.abc import Callable, Iterable
from datetime import UTC, datetime

from nodegate.engine.problems import Finder, OfObjects, Problems
from nodegate.snapshot.resource import Key
from nodegate.snapshot.type_urls import SECRET

DAY_SECONDS = 86_400.0


class Expiry:
    """Keeps the problems of certificates as of today. ``deadline`` is when to look again, on the event loop's clock."""

    def __init__(
        self, expiring: Callable[[datetime], OfObjects], problems: Problems, clock: Callable[[], float]
    ) -> None:
        """Note in ``problems`` what ``expiring`` finds at a time; ``clock`` gives Unix seconds."""
        self._expiring = expiring
        self._problems = problems
        self._clock = clock
        self.deadline: float | None = None

    def changed(self, keys: Iterable[Key]) -> None:
        """Look again if what is served under any of these keys is a certificate."""
        if any(type_url == SECRET for type_url, _ in keys):
            self.look()

    def look(self) -> None:
        """Replace the problems by what there are now, and look again in a day."""
        now = datetime.fromtimestamp(self._clock(), UTC)
        self._problems.replace(Finder.CLOCK, self._expiring(now))
        self.deadline = get_running_loop().time() + DAY_SECONDS
