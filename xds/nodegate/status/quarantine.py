"""Quarantine: a rejected object goes back to its last accepted content, and nobody else notices (DESIGN 2).

Pure: it is told what changed, what clients said and what time it is, and returns changes and problems. When every
client that answered has rejected a resource, the object that caused it is quarantined at that very content. When some
accept it, only the rejecting stream keeps what it has, and the problem says so. Quarantine is local to this process
and ends when the object changes, or when a node connects that never had its say: so one hostile or outdated client
can neither veto nor freeze the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from nodegate.model.changes import Change, Delete, ObjectChange, Quarantined, Upsert
from nodegate.model.objects import Object
from nodegate.model.problem import Problem, ProblemCode, Severity
from nodegate.model.refs import Ref
from nodegate.snapshot.resource import Key
from nodegate.snapshot.type_urls import SHORT_NAME
from nodegate.snapshot.votes import Votes

REJECTED = ProblemCode(
    "RejectedByProxy",
    "Every proxy that answered refused what this object is translated to. The object is served from its last accepted "
    "content, or not at all if there is none; everything else goes on.",
    "Read the proxy's own words, correct the object and apply it again.",
)
PARTLY_REJECTED = ProblemCode(
    "RejectedBySomeProxies",
    "Some proxies refused what this object is translated to, others accepted it. Those that refused keep what they "
    "had before.",
    "Compare the versions of the proxies: one may be too old for what the object asks for.",
)
CODES = (REJECTED, PARTLY_REJECTED)

PATIENCE_SECONDS = 20.0
"""How long clients that have not answered yet are waited for before those that did decide alone.

Envoy withholds an answer for up to 15 s, while a cluster warms; those that rejected keep what they have meanwhile.
"""

REVIEW_SECONDS = 1.0
"""How often an open case is looked at again."""


@dataclass(frozen=True, slots=True)
class Review:
    """What follows from a review: changes for translation, every problem there is now, and when to look again."""

    changes: tuple[Change, ...] = ()
    problems: Mapping[Ref, tuple[Problem, ...]] = field(default_factory=dict)
    again_in: float | None = None


@dataclass(frozen=True, slots=True)
class _Record:
    content: Object
    problem: Problem
    asked: frozenset[str]


@dataclass(slots=True)
class _History:
    """The current content of an object, the one before it, and which of two changes came later."""

    current: Object
    before: Object | None
    serial: int


class Quarantine:
    """The quarantined objects of this process."""

    def __init__(self) -> None:
        self._history: dict[Ref, _History] = {}
        self._records: dict[Ref, _Record] = {}
        self._asked: dict[Ref, frozenset[str]] = {}
        self._seen: dict[tuple[Key, frozenset[str]], float] = {}
        self._serial = 0

    @property
    def refs(self) -> frozenset[Ref]:
        """The objects in quarantine now."""
        return frozenset(self._records)

    def observe(self, changes: Iterable[ObjectChange]) -> None:
        """Take note of changed objects; a changed object leaves quarantine."""
        for change in changes:
            self._serial += 1
            if isinstance(change, Delete):
                self._history.pop(change.ref, None)
                self._end(change.ref)
            else:
                self._replace(change.object)

    def _replace(self, content: Object) -> None:
        ref = content.ref
        old = self._history.get(ref)
        if old is not None and old.current == content:
            return
        rejected = ref in self._records
        before = None if old is None else (old.before if rejected else old.current)
        self._history[ref] = _History(content, before, self._serial)
        self._end(ref)

    def _end(self, ref: Ref) -> None:
        self._records.pop(ref, None)
        self._asked.pop(ref, None)

    def review(self, votes: Iterable[Votes], connected: frozenset[str], now: float) -> Review:
        """Decide on everything that clients reject now. ``connected`` are the ids of all nodes, ``now`` is seconds."""
        open_votes = tuple(votes)
        changes: list[Change] = [*self._lift(connected)]
        problems: dict[Ref, list[Problem]] = {}
        still_seen: dict[tuple[Key, frozenset[str]], float] = {}
        for vote in open_votes:
            culprit = self._culprit(vote)
            if culprit is None:
                continue
            case = (vote.key, frozenset(vote.rejected))
            still_seen[case] = self._seen.get(case, now)
            if vote.accepted:
                problems.setdefault(culprit, []).append(_partly(culprit, vote))
            elif not vote.pending or now - still_seen[case] >= PATIENCE_SECONDS:
                changes.append(self._put(culprit, vote, connected))
        self._seen = still_seen
        for ref, record in self._records.items():
            problems.setdefault(ref, []).append(record.problem)
        found = {ref: tuple(of_ref) for ref, of_ref in problems.items()}
        return Review(tuple(changes), found, REVIEW_SECONDS if open_votes else None)

    def _lift(self, connected: frozenset[str]) -> Iterable[Change]:
        """Try quarantined content once more when a node is there that never had its say."""
        for ref, record in list(self._records.items()):
            if connected - record.asked:
                self._asked[ref] = record.asked | connected
                del self._records[ref]
                yield Upsert(record.content)

    def _culprit(self, vote: Votes) -> Ref | None:
        """Return the object that changed last of those that caused the resource: what it broke worked before."""
        known = [ref for ref in vote.causes if ref in self._history and ref not in self._records]
        return max(known, key=lambda ref: self._history[ref].serial, default=None)

    def _put(self, ref: Ref, vote: Votes, connected: frozenset[str]) -> Change:
        history = self._history[ref]
        asked = self._asked.get(ref, frozenset()) | connected | frozenset(vote.rejected)
        self._records[ref] = _Record(history.current, _rejected(ref, vote, served=history.before is not None), asked)
        return Quarantined(ref, history.before)


def _what(key: Key) -> str:
    type_url, name = key
    return f"{SHORT_NAME.get(type_url, type_url)} {name}"


def _words(vote: Votes) -> str:
    return " ".join(next(iter(vote.rejected.values())).split())


def _rejected(ref: Ref, vote: Votes, *, served: bool) -> Problem:
    now = "Its last accepted content is served." if served else "It has no accepted content yet, so it is not served."
    message = (
        f"{len(vote.rejected)} of {vote.answered} proxies that answered rejected {_what(vote.key)}, "
        f"which this object causes: {_words(vote)} {now}"
    )
    return Problem(ref, REJECTED.code, "", message, REJECTED.remedy, about=_what(vote.key))


def _partly(ref: Ref, vote: Votes) -> Problem:
    first, *more = sorted(vote.rejected)
    who = f"{first} and {len(more)} more" if more else first
    message = (
        f"{_what(vote.key)}, which this object causes, was rejected by {len(vote.rejected)} of {vote.answered} proxies "
        f"({who}): {_words(vote)}"
    )
    remedy, severity = PARTLY_REJECTED.remedy, Severity.WARNING
    return Problem(ref, PARTLY_REJECTED.code, "", message, remedy, severity=severity, about=_what(vote.key))
