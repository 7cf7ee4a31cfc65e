"""How fast Events may be told: some at once, then slowly, of each object and altogether. Pure."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

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

    def pause(self, now: float) -> float:
        """Return after how many seconds there is a token; 0 when there is one."""
        self.tokens = min(self.size, self.tokens + (now - self.at) * self.rate)
        self.at = now
        return 0.0 if self.tokens >= _WHOLE else (1 - self.tokens) / self.rate


class Pace:
    """One bucket for each object, and one for all."""

    def __init__(self) -> None:
        self._all = Bucket(OF_ALL_AT_ONCE, OF_ALL_PER_SECOND, OF_ALL_AT_ONCE, 0.0)
        self._of_one: dict[Hashable, Bucket] = {}

    def pause(self, one: Hashable, now: float) -> float:
        """Return how many seconds to wait; 0 when it may be told now, which then counts."""
        if len(self._of_one) >= _REMEMBERED:
            self._of_one = {key: bucket for key, bucket in self._of_one.items() if bucket.pause(now)}
        bucket = self._of_one.setdefault(one, Bucket(OF_ONE_AT_ONCE, OF_ONE_PER_SECOND, OF_ONE_AT_ONCE, now))
        pause = max(bucket.pause(now), self._all.pause(now))
        if not pause:
            bucket.tokens -= 1
            self._all.tokens -= 1
        return pause
