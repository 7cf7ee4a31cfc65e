"""How long changes are gathered: until none came for a moment, but not longer than a moment that somebody notices."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

QUIET_SECONDS = 0.050
LIMIT_SECONDS = 0.500


@dataclass(slots=True)
class HoldOff:
    """A deadline that each change moves ``quiet`` seconds away, at most ``limit`` seconds after the first (DESIGN 3.1).

    Times are those of the event loop. ``deadline`` is None while nothing waits. A change that only ``adds`` does not
    wait when it is the first for ``limit`` seconds; so a burst makes few batches (decision 0019).
    """

    quiet: float = QUIET_SECONDS
    limit: float = LIMIT_SECONDS
    deadline: float | None = None
    _first: float | None = None
    _last: float = -inf

    def touch(self, now: float, *, adds: bool = False) -> None:
        """A change came that can wait, if it must."""
        leads = adds and self.deadline is None and now >= self._last + self.limit
        if self._first is None:
            self._first = now
        self._last = now
        self.deadline = now if leads else min(now + self.quiet, self._first + self.limit)

    def end(self, until: float | None = None) -> None:
        """Everything that waited has been applied, except what waits ``until`` a time of its own."""
        self._first = None
        self.deadline = until
