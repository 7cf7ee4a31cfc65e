"""Keeps the index of translation, and keeps it working when a step raises.

A step raises only because of a defect of nodegate. The defect then costs the one object that shows it: a new index is
built from everything that is known to work, the changes are tried one at a time, and the one that raises is left out
with a Problem. What was accepted of that object before goes on being served.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Generic, TypeVar

import structlog

from nodegate.model.changes import Change, Claimed, Delete, Quarantined, Upsert
from nodegate.model.problem import Problem, ProblemCode
from nodegate.model.refs import Ref
from nodegate.ports import owner_of
from nodegate.snapshot.resource import Entry, Key
from nodegate.translate.result import Changed

log = structlog.get_logger(__name__)

INTERNAL_ERROR = ProblemCode(
    "InternalError",
    "nodegate failed while it translated this object, which is a defect of nodegate and not of the object. What was "
    "last translated of the object goes on being served, and every other object is served as if nothing had happened.",
    "Please report it with the object and the lines of the log; until then, changing the object may help.",
)

Index = TypeVar("Index")
Step = Callable[[Index, Sequence[Change]], tuple[Index, Changed]]
Expiring = Callable[[Index, datetime], Mapping[Ref, tuple[Problem, ...]]]


class Translation(Generic[Index]):
    """The current index, and everything translation has said so far.

    ``listeners`` are the listeners that want a port, ``problems`` those of translation and the internal errors.
    """

    def __init__(self, new: Callable[[], Index], step: Step[Index], expiring: Expiring[Index]) -> None:
        """Start with the index that ``new`` makes; ``step`` is translation's, or one with faults (tests).

        ``expiring`` finds the certificates in an index that have expired, or soon will, at a time.
        """
        self._new = new
        self._step = step
        self._expiring = expiring
        self._index = new()
        self._accepted: dict[Hashable, Change] = {}
        self._failed: dict[Hashable, Change] = {}
        self._entries: dict[Key, Entry] = {}
        self._found: dict[Ref, tuple[Problem, ...]] = {}
        self._internal: dict[Hashable, Problem] = {}
        self._listeners: dict[str, int] = {}
        self._moved = False
        self.failures = 0

    @property
    def listeners(self) -> Mapping[str, int]:
        """The listeners that want a port, with their Service port."""
        return self._listeners

    @property
    def failed(self) -> tuple[Change, ...]:
        """The changes that are left out because a step raised on them."""
        return tuple(self._failed.values())

    @property
    def worth_retrying(self) -> tuple[Change, ...]:
        """The changes that are left out, if anything was translated since: the same input fails the same way."""
        return self.failed if self._moved else ()

    def expiring(self, now: datetime) -> Mapping[Ref, tuple[Problem, ...]]:
        """Return the problems of all served Secrets whose certificate has expired or soon will."""
        return self._expiring(self._index, now)

    def apply(self, changes: Sequence[Change]) -> Changed:
        """Translate these changes. Never raises: a change that cannot be translated is left out, with a Problem."""
        cleared = self._forget_failures(changes)
        try:
            self._index, changed = self._step(self._index, changes)
        except Exception:
            self.failures += 1
            log.exception("Translation failed; its changes are tried one at a time.", objects=_names(changes))
            changed = self._recover(changes)
            self._moved = False
        else:
            self._moved = True
            for change in changes:
                self._accept(change)
        self._note(changed)
        return self._with_internal(changed, cleared)

    def _recover(self, changes: Sequence[Change]) -> Changed:
        """Build a new index without the changes that raise, and return the difference to what was said before."""
        total = self._rebuild()
        for change in changes:
            try:
                self._index, changed = self._step(self._index, (change,))
            except Exception as error:  # noqa: BLE001  # whatever it is, it must cost one object only
                self._leave_out(change, error)
                total = self._rebuild()
            else:
                self._accept(change)
                total = merge(total, changed)
        return self._difference(total)

    def _rebuild(self) -> Changed:
        """Make a new index of everything accepted; what raises all the same is left out, one change at a time."""
        while True:
            self._index = self._new()
            changes = tuple(self._accepted.values())
            try:
                self._index, changed = self._step(self._index, changes)
            except Exception:  # noqa: BLE001  # logged with the change that is to blame
                self._drop_first_failing(changes)
            else:
                return changed

    def _drop_first_failing(self, changes: Sequence[Change]) -> None:
        index = self._new()
        for change in changes:
            try:
                index, _ = self._step(index, (change,))
            except Exception as error:  # noqa: BLE001  # whatever it is, it must cost one object only
                del self._accepted[_key(change)]
                self._leave_out(change, error)
                return
        # One at a time they all work, so nobody can be blamed: keep the newest out and try again.
        change = changes[-1]
        del self._accepted[_key(change)]
        self._leave_out(change, RuntimeError("the objects fail only together"))

    def _leave_out(self, change: Change, error: Exception) -> None:
        ref = _blamed(change)
        log.error("An object is left out of translation.", object=str(ref), exc_info=error)
        if isinstance(change, Delete):
            self._accept(change)  # it is gone, whatever translation makes of it
            return
        self._failed[_key(change)] = change
        message = f"Translating {ref} failed with {type(error).__name__}: {error}."
        self._internal[_key(change)] = INTERNAL_ERROR.found(ref, "", message)

    def _forget_failures(self, changes: Iterable[Change]) -> set[Ref]:
        """Forget earlier failures of what changes now; return the objects that had some."""
        refs: set[Ref] = set()
        if not self._failed and not self._internal:
            return refs
        for change in changes:
            self._failed.pop(_key(change), None)
            if self._internal.pop(_key(change), None):
                refs.add(_blamed(change))
        return refs

    def _accept(self, change: Change) -> None:
        gone = isinstance(change, Delete) or (isinstance(change, Claimed) and change.port is None)
        if isinstance(change, Upsert | Delete):
            self._accepted.pop(("quarantine", change.ref), None)
        key = _key(change)
        self._accepted.pop(key, None)
        if not gone:
            self._accepted[key] = change

    def _note(self, changed: Changed) -> None:
        _update(self._entries, changed.resources)
        _update(self._found, {ref: problems or None for ref, problems in changed.problems.items()})
        _update(self._listeners, changed.listeners)

    def _difference(self, total: Changed) -> Changed:
        """Return ``total``, which was said from nothing, as a difference to what had been said before."""
        return Changed(
            resources=_missing(self._entries, total.resources) | dict(total.resources),
            problems={ref: () for ref in self._found if ref not in total.problems} | dict(total.problems),
            listeners={
                name: port
                for name, port in (_missing(self._listeners, total.listeners) | dict(total.listeners)).items()
                if self._listeners.get(name) != port
            },
        )

    def _with_internal(self, changed: Changed, cleared: set[Ref]) -> Changed:
        """Return ``changed`` with the internal errors among the problems of each object that has or had some."""
        if not cleared and not self._internal:
            return changed
        refs = cleared | {problem.ref for problem in self._internal.values()}
        problems = {ref: self._found.get(ref, ()) for ref in refs}
        for problem in self._internal.values():
            problems[problem.ref] = (*problems[problem.ref], problem)
        return Changed(changed.resources, {**changed.problems, **problems}, changed.listeners)


def merge(first: Changed, then: Changed) -> Changed:
    """Return two differences as one; what was said last counts."""
    return Changed(
        {**first.resources, **then.resources},
        {**first.problems, **then.problems},
        {**first.listeners, **then.listeners},
    )


_K = TypeVar("_K")
_V = TypeVar("_V")


def _update(kept: dict[_K, _V], changes: Mapping[_K, _V | None]) -> None:
    for key, value in changes.items():
        if value is None:
            kept.pop(key, None)
        else:
            kept[key] = value


def _missing(before: Mapping[_K, _V], after: Mapping[_K, _V | None]) -> dict[_K, _V | None]:
    return {key: None for key in before if key not in after}


def _key(change: Change) -> Hashable:
    match change:
        case Claimed(listener, _):
            return ("claim", listener)
        case Quarantined(ref, _):
            return ("quarantine", ref)
        case _:
            return change.ref


def _blamed(change: Change) -> Ref:
    return owner_of(change.listener) if isinstance(change, Claimed) else change.ref


def _names(changes: Iterable[Change]) -> list[str]:
    return sorted({str(_blamed(change)) for change in changes})[:20]
