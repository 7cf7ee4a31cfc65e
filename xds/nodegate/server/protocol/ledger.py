"""What one client has acknowledged of one resource type.

A stream in sync does not keep a copy: it holds a reference to the mapping that all streams share (``base``) and only
what differs from it (``own``). 10,000 clusters on 1,000 streams are one mapping, not 10 million entries (DESIGN 2).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from nodegate.snapshot.facts import NodeFacts
from nodegate.snapshot.resource import Entry, Resource, set_digest

_EMPTY: Mapping[str, Entry] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Reported:
    """A resource that the client says it holds from an earlier stream, at a version we do not have (37).

    What it names is unknown, so it may name anything.
    """

    name: str
    version: str

    @property
    def digest(self) -> int:
        """Its share of the set's version."""
        return set_digest(self.name, self.version)


Held = Resource | Reported


class Ledger:
    """Name -> what the client holds for sure, because it acknowledged or reported it."""

    __slots__ = ("_base", "_facts", "digest", "own")

    def __init__(self, facts: NodeFacts) -> None:
        self._facts = facts
        self._base = _EMPTY
        self.own: dict[str, Held | None] = {}
        self.digest = 0
        """The sum of the digests of all that is held."""

    def get(self, name: str) -> Held | None:
        """Return what the client holds under this name, or None."""
        if name in self.own:
            return self.own[name]
        entry = self._base.get(name)
        return entry.resolve(self._facts) if entry is not None else None

    def put(self, name: str, held: Held | None) -> None:
        """Note that the client now holds this under the name, or nothing."""
        old = self.get(name)
        self.digest += (held.digest if held else 0) - (old.digest if old else 0)
        if held is None and name not in self._base:
            self.own.pop(name, None)
        else:
            self.own[name] = held

    def names(self) -> Iterator[str]:
        """Yield every name that is held."""
        for name, held in self.own.items():
            if held is not None:
                yield name
        for name in self._base:
            if name not in self.own:
                yield name

    def share(self, mapping: Mapping[str, Entry]) -> None:
        """Use this mapping as the base from now on. The caller knows that the client holds exactly its content."""
        self._base = mapping
        self.own = {}
