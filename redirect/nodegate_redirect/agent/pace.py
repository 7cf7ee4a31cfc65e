"""When to look and when to compare, so that neither takes more than a small part of a CPU. Pure: times are arguments.

*Looking* asks for addresses, interfaces and listening sockets. *Polling* asks for the sockets that something waits for,
often, for no message says that a socket listens. *Comparing* reads back what the kernel holds, and repairs it; a look
that finds a stranger at our rules compares at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

_WAITING, _WATCHING = 0.05, 1.0
_SUSPICIOUS, _TRUSTING = 0.2, 5.0
_FIRST_RETRY, _LONGEST_RETRY = 0.5, 30.0
_LOOK_SHARE, _COMPARE_SHARE = 10, 20
"""How many times as long as it took it is not done again: at most 10 % and 5 % of one CPU."""


@dataclass(slots=True)
class Pace:
    """Times in seconds of any one clock; at first everything is due."""

    next_look: float = 0.0
    next_compare: float = 0.0
    _next_poll: float = 0.0
    _looked: float = 0.0
    _pause: float = 0.0
    _compared: float = 0.0
    _cost: float = 0.0
    _failures: int = 0

    def looked(self, now: float, cost: float, *, whole: bool, waiting: bool, comparing: float = 0.0) -> None:
        """Note a look that took ``cost`` seconds, at the whole node or at what is waited for.

        ``waiting``: something waits for a socket to listen. ``comparing`` is what a comparison took that came with it:
        who flushes our rules over and over gets half a CPU of us and no more.
        """
        pause = max(_LOOK_SHARE * cost, comparing)
        if whole:
            self._looked, self._pause = now, pause
            self.next_look = now + max(_WATCHING, pause)
        self._next_poll = now + max(_WAITING, pause) if waiting else inf

    def compared(self, now: float, cost: float) -> None:
        """Note a comparison that was made, and repaired what it found."""
        self._compared, self._cost, self._failures = now, cost, 0
        self.next_compare = now + max(_TRUSTING, _COMPARE_SHARE * cost)

    def failed(self, now: float) -> None:
        """Note that the kernel refused something: it is asked again, less and less often."""
        self.next_compare = now + min(_LONGEST_RETRY, _FIRST_RETRY * 2.0 ** min(self._failures, 16))
        self._failures += 1

    def node_changed(self) -> None:
        """Note that links, addresses or routes changed: they are looked at now."""
        self.next_look = 0.0

    def rules_changed(self) -> None:
        """Note that rules changed, and it was not us. A look tells whether a flush was among it, a comparison all."""
        if not self._failures:
            self.next_look = min(self.next_look, self._looked + max(_SUSPICIOUS, self._pause))
            self.next_compare = min(self.next_compare, self._compared + max(_SUSPICIOUS, _COMPARE_SHARE * self._cost))

    def next(self) -> float:
        """Return when something is due."""
        if self._failures:
            return self.next_compare
        return min(self._next_poll, self.next_look, self.next_compare)
