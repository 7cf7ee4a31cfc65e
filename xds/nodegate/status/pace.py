"""How fast something may be written: some at once, then slowly, of each object and altogether. Pure."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

WRITES_AT_ONCE, WRITES_PER_SECOND = 10.0, 1 / 5
"""Of one object. Where somebody else writes the same fields again and again, that is all there is of a race."""
OF_ONE_AT_ONCE, OF_ONE_PER_SECOND = 10.0, 1 / 30
OF_ALL_AT_ONCE, OF_ALL_PER_SECOND = 100.0, 10.0
_REMEMBERED = 10_000
_WHOLE = 1 - 1e-6  # what is left of a token by arithmetic of floating point


@dataclass(slots=True)
class Bucket:
    """Holds up to ``size`` tokens and gets ``rate`` of them each second; every use takes one."""

    size: float
    rate: float
    tokens: float
    at: float

    def is_full(self, now: float) -> bool:
        """Whether it is as it was made."""
        self._fill(now)
        return self.tokens >= self.size - 1 + _WHOLE

    def _fill(self, now: float) -> None:
        self.tokens = min(self.size, self.tokens + (now - self.at) * self.rate)
        self.at = now

    def pause(self, now: float) -> float:
        """Return after how many seconds there is a token; 0 when there is one."""
        self._fill(now)
        return 0.0 if self.tokens >= _WHOLE else (1 - self.tokens) / self.rate


class Buckets:
    """One bucket for each object."""

    def __init__(self, size: float = WRITES_AT_ONCE, rate: float = WRITES_PER_SECOND) -> None:
        self._size, self._rate = size, rate
        self._of: dict[Hashable, Bucket] = {}
        self._most = _REMEMBERED

    def __len__(self) -> int:
        """Return how many are remembered."""
        return len(self._of)

    def of(self, one: Hashable, now: float) -> Bucket:
        """Return the bucket of an object; those that are full are forgotten whenever there are twice as many."""
        if len(self._of) >= self._most:
            self._of = {key: bucket for key, bucket in self._of.items() if not bucket.is_full(now)}
            self._most = max(_REMEMBERED, 2 * len(self._of))
        return self._of.setdefault(one, Bucket(self._size, self._rate, self._size, now))

    def pause(self, one: Hashable, now: float) -> float:
        """Return how many seconds to wait; 0 when it may be now, which then counts."""
        bucket = self.of(one, now)
        pause = bucket.pause(now)
        if not pause:
            bucket.tokens -= 1
        return pause


class Pace:
    """How fast Events are told: one bucket for each object, and one for all."""

    def __init__(self) -> None:
        self._all = Bucket(OF_ALL_AT_ONCE, OF_ALL_PER_SECOND, OF_ALL_AT_ONCE, 0.0)
        self._of_one = Buckets(OF_ONE_AT_ONCE, OF_ONE_PER_SECOND)

    def pause(self, one: Hashable, now: float) -> float:
        """Return how many seconds to wait; 0 when it may be told now, which then counts."""
        bucket = self._of_one.of(one, now)
        pause = max(bucket.pause(now), self._all.pause(now))
        if not pause:
            bucket.tokens -= 1
            self._all.tokens -= 1
        return pause
