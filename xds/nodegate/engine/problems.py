"""Every object's problems, from everyone who finds some, in one mapping."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import IntEnum

import structlog

from nodegate.model.problem import Problem
from nodegate.model.refs import Ref
from nodegate.source.problem_log import log_difference

log = structlog.get_logger(__name__)

OfObjects = Mapping[Ref, tuple[Problem, ...]]


class Finder(IntEnum):
    """Who finds problems of objects, in the order in which an object's problems are listed."""

    TRANSLATION = 0
    PORTS = 1
    PROXIES = 2
    CLOCK = 3
    CLUSTER = 4


class Problems:
    """All problems by object. ``by_object`` holds no object without one. The source's own are not here."""

    def __init__(self) -> None:
        self.by_object: dict[Ref, tuple[Problem, ...]] = {}
        self.on_change: Callable[[Ref, tuple[Problem, ...]], None] = lambda _ref, _problems: None
        """Called with an object and all its problems when they are others than before."""
        self._found: dict[Finder, dict[Ref, tuple[Problem, ...]]] = {finder: {} for finder in Finder}

    def found_by(self, finder: Finder) -> OfObjects:
        """Return what one finder has found."""
        return self._found[finder]

    def note(self, finder: Finder, changes: OfObjects) -> None:
        """Take over what a finder says of some objects, an empty tuple meaning nothing any more; log what is new."""
        found = self._found[finder]
        found.update(changes)
        for ref in changes:
            if not found[ref]:
                del found[ref]
            before = self.by_object.pop(ref, ())
            after = tuple(problem for one in Finder for problem in self._found[one].get(ref, ()))
            if after:
                self.by_object[ref] = after
            log_difference(log, before, after)
            if before != after:
                self.on_change(ref, after)

    def replace(self, finder: Finder, found: OfObjects) -> None:
        """Take over everything a finder says now."""
        gone: dict[Ref, tuple[Problem, ...]] = {ref: () for ref in self._found[finder] if ref not in found}
        self.note(finder, {**gone, **found})
