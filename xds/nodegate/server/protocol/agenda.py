"""What one type of one stream still has to look at. Work is in the number of these names (DESIGN 2, cost)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Hold:
    """Why a name has to wait. ``until``, on the stream's clock, is when the wait ends by itself; None: it does not."""

    reason: str
    until: float | None = None


class Agenda:
    """The names to look at, and in which light.

    ``dirty``: the client may not hold what the target has. ``forced``: to be sent whatever the client holds (28, 35).
    ``leaving``: gone from the target, and to be removed when nothing needs them any more. ``news``: what changed in
    the target and was not looked at yet, as the sets that all streams share. ``everything``: any name may have
    changed. ``reply``: a response is owed, though it may be empty (9, 36). ``holds``: what waits, why, since when.
    """

    __slots__ = ("dirty", "everything", "forced", "holds", "leaving", "news", "reply")

    def __init__(self) -> None:
        self.dirty: set[str] = set()
        self.forced: set[str] = set()
        self.leaving: set[str] = set()
        self.news: list[frozenset[str]] = []
        self.everything = False
        self.reply = False
        self.holds: dict[str, tuple[Hold, float]] = {}

    def __bool__(self) -> bool:
        """Return whether there is anything to look at, apart from what only waits to be removed."""
        return self.everything or bool(self.news or self.dirty)

    def look_at(self, names: Iterable[str]) -> None:
        """Look at these names."""
        self.dirty.update(names)

    def answer(self, names: Iterable[str]) -> None:
        """Send these names, whatever the client holds."""
        self.forced.update(names)
        self.dirty.update(names)

    def done(self, name: str) -> None:
        """Nothing is to be done about a name any more."""
        self.dirty.discard(name)
        self.forced.discard(name)
        self.holds.pop(name, None)

    def forget(self, name: str) -> None:
        """The client is no longer subscribed to a name."""
        self.done(name)
        self.leaving.discard(name)

    def leave(self, name: str) -> None:
        """The name is gone from the target; remove it when it is time."""
        self.dirty.discard(name)
        self.forced.discard(name)
        self.leaving.add(name)

    def wait(self, name: str, hold: Hold, now: float) -> None:
        """Look at a name again later. A wait of which only the reason changes goes on."""
        since = self.holds[name][1] if name in self.holds else now
        self.holds[name] = (hold, since)

    def trim(self) -> None:
        """Give back the memory of sets that were emptied name by name."""
        for names in (self.dirty, self.forced, self.leaving):
            if not names:
                names.clear()

    def clear(self) -> None:
        """Everything was sent."""
        self.dirty.clear()
        self.forced.clear()
        self.news.clear()
        self.holds.clear()
        self.everything = False
