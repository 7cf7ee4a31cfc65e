"""The target: every resource that should be on the proxies, and what changed between two targets.

A target is never modified. ``apply`` returns the next one, which shares everything with the old one but the changed
types' mappings; a stream that is some targets behind asks which names changed since, and pays for those only.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from nodegate.snapshot.resource import Entry, Key

_HISTORY = 4096
"""How many steps back ``changed_since`` can name; a stream further behind compares everything once."""


@dataclass(frozen=True, slots=True)
class _Step:
    serial: int
    names: Mapping[str, frozenset[str]]


@dataclass(frozen=True, slots=True)
class Target:
    """All resources, by type URL and name.

    ``serial`` grows with every change and means something in this process only. ``named`` counts, for each resource
    that is named by others, how many name it. ``stale`` marks what an earlier run stored and this one did not confirm
    yet: nothing may be removed for its sake (xds-protocol 47). ``memo`` is for what can be worked out from this target
    alone and is worth keeping as long as it: the same for every stream that asks.
    """

    serial: int = 0
    types: Mapping[str, Mapping[str, Entry]] = field(default_factory=dict)
    named: Mapping[Key, int] = field(default_factory=dict)
    stale: bool = False
    memo: dict[Hashable, Any] = field(default_factory=dict, repr=False, compare=False)
    _history: deque[_Step] = field(default_factory=lambda: deque(maxlen=_HISTORY), repr=False, compare=False)

    def of_type(self, type_url: str) -> Mapping[str, Entry]:
        """Return the resources of one type by name."""
        return self.types.get(type_url, _NOTHING)

    def get(self, type_url: str, name: str) -> Entry | None:
        """Return one resource, or None."""
        return self.of_type(type_url).get(name)

    def changed_since(self, serial: int) -> Mapping[str, frozenset[str]] | None:
        """Return the names changed after the target with this serial, by type; None when that is too long ago."""
        if serial == self.serial:
            return {}
        key = ("changed", serial)
        if key not in self.memo:
            self.memo[key] = self._changed_since(serial)
        changed: Mapping[str, frozenset[str]] | None = self.memo[key]
        return changed

    def _changed_since(self, serial: int) -> Mapping[str, frozenset[str]] | None:
        steps = []
        for step in reversed(self._history):
            if step.serial > self.serial:
                continue
            if step.serial <= serial:
                break
            steps.append(step)
        if len(steps) != self.serial - serial:
            return None
        if len(steps) == 1:
            return steps[0].names
        merged: dict[str, frozenset[str]] = {}
        for step in steps:
            for type_url, names in step.names.items():
                merged[type_url] = merged.get(type_url, frozenset()) | names
        return merged

    def apply(self, changes: Mapping[Key, Entry | None]) -> Target:
        """Return the target with these resources put in or, where None, taken out.

        A resource with the content it already has is no change; when nothing changes, the same target is returned.
        """
        real = {key: entry for key, entry in changes.items() if self._differs(key, entry)}
        if not real:
            return self
        types = dict(self.types)
        for type_url in {type_url for type_url, _ in real}:
            types[type_url] = dict(self.of_type(type_url))
        for (type_url, name), entry in real.items():
            mapping: dict[str, Entry] = types[type_url]  # type: ignore[assignment]  # copied just above
            if entry is None:
                del mapping[name]
            else:
                mapping[name] = entry
        step = _Step(self.serial + 1, _names_by_type(real))
        self._history.append(step)
        return Target(step.serial, types, self._recount(real), self.stale, _history=self._history)

    def named_after(self, changes: Mapping[Key, Entry | None]) -> Mapping[Key, int]:
        """Return what ``named`` would be after these changes, without making them."""
        return self._recount({key: entry for key, entry in changes.items() if self._differs(key, entry)})

    def mark(self, *, stale: bool) -> Target:
        """Return this target with the mark, as the next one."""
        if stale == self.stale:
            return self
        step = _Step(self.serial + 1, {})
        self._history.append(step)
        return Target(step.serial, self.types, self.named, stale, _history=self._history)

    def _differs(self, key: Key, entry: Entry | None) -> bool:
        old = self.get(*key)
        if old is None or entry is None:
            return old is not entry
        return old.version != entry.version

    def _recount(self, changes: Mapping[Key, Entry | None]) -> Mapping[Key, int]:
        """Return how often each resource is named, after these changes."""
        moves: dict[Key, int] = {}
        for key, entry in changes.items():
            old = self.get(*key)
            old_refs, new_refs = (old.refs if old else ()), (entry.refs if entry else ())
            if old_refs == new_refs:
                continue
            for ref in set(new_refs):
                moves[ref] = moves.get(ref, 0) + 1
            for ref in set(old_refs):
                moves[ref] = moves.get(ref, 0) - 1
        moves = {ref: move for ref, move in moves.items() if move}
        if not moves:
            return self.named
        named = dict(self.named)
        for ref, move in moves.items():
            count = named.get(ref, 0) + move
            if count:
                named[ref] = count
            else:
                del named[ref]
        return named


_NOTHING: Mapping[str, Entry] = MappingProxyType({})


def _names_by_type(keys: Iterable[Key]) -> Mapping[str, frozenset[str]]:
    names: dict[str, set[str]] = {}
    for type_url, name in keys:
        names.setdefault(type_url, set()).add(name)
    return {type_url: frozenset(of_type) for type_url, of_type in names.items()}
