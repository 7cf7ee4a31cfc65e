"""The problems of all objects, kept by what found them, so that each finder replaces only its own."""

from __future__ import annotations

from collections.abc import Hashable, Mapping

from nodegate.model.problem import Problem
from nodegate.model.refs import Ref


class Findings:
    """Problems by object and finder. ``take_changed`` gives the objects whose list changed since it was last called."""

    def __init__(self) -> None:
        self._by_object: dict[Ref, dict[Hashable, tuple[Problem, ...]]] = {}
        self._blamed: dict[Hashable, frozenset[Ref]] = {}
        self._before: dict[Ref, tuple[Problem, ...]] = {}

    def replace(self, finder: Hashable, found: Mapping[Ref, tuple[Problem, ...]]) -> None:
        """Put what one finder found in place of all that it had found before."""
        if not found and finder not in self._blamed:
            return
        blamed = frozenset(ref for ref, problems in found.items() if problems)
        for ref in self._blamed.get(finder, frozenset()) | blamed:
            self._before.setdefault(ref, self._of(ref))
            finders = self._by_object.setdefault(ref, {})
            if ref in blamed:
                finders[finder] = found[ref]
            else:
                del finders[finder]
                if not finders:
                    del self._by_object[ref]
        if blamed:
            self._blamed[finder] = blamed
        else:
            self._blamed.pop(finder, None)

    def take_changed(self) -> dict[Ref, tuple[Problem, ...]]:
        """Return the whole list of problems of every object for which it is not what it was at the last call."""
        changed = {ref: now for ref, before in self._before.items() if (now := self._of(ref)) != before}
        self._before.clear()
        return changed

    def _of(self, ref: Ref) -> tuple[Problem, ...]:
        found = self._by_object.get(ref, {}).values()
        return tuple(sorted({problem for problems in found for problem in problems}))
