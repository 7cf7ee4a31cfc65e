"""Which replica leads: a Lease that one holds and renews, and that another takes when it was not renewed. Pure.

Clocks of machines differ, so no time that somebody else wrote is ever compared with one's own: a Lease has run out when
it has not changed for as long as it lasts, by the own clock, since it was first seen like that. Who holds it stops
earlier than anybody else could begin: two thirds after its last renewal was sent (the rules of client-go's
``leaderelection``).
"""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Record:
    """What a Lease says. ``version`` is the object's; ``holder`` is empty when nobody holds it.

    ``acquired`` and ``renewed`` are texts for people; ``seconds`` is how long it lasts after a renewal.
    """

    holder: str
    seconds: int
    acquired: str
    renewed: str
    transitions: int
    version: str = ""


class Election:
    """One replica's view of the Lease. Times are seconds of the own, steady clock."""

    def __init__(self, identity: str, seconds: int) -> None:
        """Take part as ``identity``, with a Lease that lasts for ``seconds`` after each renewal."""
        self.identity = identity
        self.seconds = seconds
        self._record: Record | None = None
        self._seen_at = 0.0
        self._leads_until = float("-inf")
        self._in_doubt = False

    @property
    def holder(self) -> str:
        """Who holds the Lease, as far as is known; empty: nobody."""
        return self._record.holder if self._record else ""

    @property
    def transitions(self) -> int:
        """How often the Lease went to another replica."""
        return self._record.transitions if self._record else 0

    @property
    def in_doubt(self) -> bool:
        """Whether this replica does not know if something that it wrote has been taken."""
        return self._in_doubt

    @property
    def knows(self) -> bool:
        """Whether the Lease as it is is known, so that nothing has to be read before it is renewed."""
        return not self._in_doubt and self.holder == self.identity

    def leads(self, now: float) -> bool:
        """Whether this replica may do what only one may."""
        return now < self._leads_until

    def seen(self, record: Record | None, now: float) -> None:
        """The Lease is like this; None: there is none."""
        if record is None or record.holder != self.identity:
            self._leads_until = float("-inf")
        self._in_doubt = False
        if record != self._record:
            self._record, self._seen_at = record, now

    def doubt(self) -> None:
        """A write is not answered, or not with success: before the next one, what the Lease says has to be read."""
        self._in_doubt = True

    def next_write(self, now: float, wall: str) -> Record | None:
        """Return what to write so that this replica leads, or goes on leading; None while another one holds it."""
        before = self._record
        if before is None:
            return Record(self.identity, self.seconds, wall, wall, 0)
        if before.holder == self.identity:
            return replace(before, seconds=self.seconds, renewed=wall)
        if before.holder and now < self._seen_at + before.seconds:
            return None
        return Record(self.identity, self.seconds, wall, wall, before.transitions + 1, before.version)

    def written(self, record: Record, sent_at: float) -> None:
        """What was to be written at ``sent_at`` has been written; ``record`` has its new version."""
        self._in_doubt = False
        self._record, self._seen_at = record, sent_at
        self._leads_until = sent_at + self.seconds * 2 / 3

    def release(self, wall: str) -> Record | None:
        """Give up the lead; return what to write so that another takes over at once, if this replica holds it."""
        self._leads_until = float("-inf")
        if self._record is None or self._record.holder != self.identity:
            return None
        return replace(self._record, holder="", seconds=1, renewed=wall)
