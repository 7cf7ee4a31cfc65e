"""What one client has acknowledged of one resource type.

A stream in sync does not keep a copy: it holds a reference to the mapping that all streams share (``base``) and only
what differs from it (``own``). 10,000 clusters on 1,000 streams are one mapping, not 10 million entries (DESIGN 2).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from nodegate.snapshot.facts import NodeFacts
from nodegate.snapshot.resource import Entry, Resource, set_digest

EMPTY: Mapping[str, Entry] = MappingProxyType({})
"""The base of a ledger that shares nothing yet."""


UNKNOWN = ""
"""The version of something that is held in whatever content."""


@dataclass(frozen=True, slots=True)
class Reported:
    """A resource that the client says it holds from an earlier stream, at a version that is not the target's (37).

    What it names is unknown, so it may name anything.
    """

    name: str
    version: str

    @property
    def digest(self) -> int:
        """Its share of the set's version."""
        return set_digest(self.name, self.version) if self.version != UNKNOWN else 0


Held = Resource | Reported


class Ledger:
    """Name -> what the client holds for sure, because it acknowledged or reported it."""

    __slots__ = ("_facts", "base", "digest", "own", "serial")

    def __init__(self, facts: NodeFacts) -> None:
        self._facts = facts
        self.base = EMPTY
        self.serial = 0
        """The serial of the target that ``base`` is from."""
        self.own: dict[str, Held | None] = {}
        self.digest = 0
        """The sum of the digests of all that is held."""

    def get(self, name: str) -> Held | None:
        """Return what the client holds under this name, or None."""
        if name in self.own:
            return self.own[name]
        entry = self.base.get(name)
        return entry.resolve(self._facts) if entry is not None else None

    def put(self, name: str, held: Held | None) -> None:
        """Note that the client now holds this under the name, or nothing."""
        old = self.get(name)
        self.digest += (held.digest if held else 0) - (old.digest if old else 0)
        if held is None and name not in self.base:
            self.own.pop(name, None)
        else:
            self.own[name] = held

    def names(self) -> Iterator[str]:
        """Yield every name that is held."""
        for name, held in self.own.items():
            if held is not None:
                yield name
        for name in self.base:
            if name not in self.own:
                yield name

    def share(self, mapping: Mapping[str, Entry], serial: int, changed: Iterable[str]) -> None:
        """Keep the differences to this mapping from now on; what is held stays the same.

        ``changed`` holds every name that the old and the new base do not have the same entry for.
        """
        held = {name: self.get(name) for name in {*changed, *self.own}}
        self.base, self.serial = mapping, serial
        self.own = {name: one for name, one in held.items() if not self._is_based(name, one)}

    def adopt(self, mapping: Mapping[str, Entry], serial: int, digest: int) -> None:
        """Hold this mapping and nothing else; ``digest`` is the sum of its resources' digests for this client."""
        self.base, self.serial = mapping, serial
        self.own = {}
        self.digest = digest

    def _is_based(self, name: str, held: Held | None) -> bool:
        entry = self.base.get(name)
        if entry is None or held is None:
            return held is None and entry is None
        return isinstance(held, Resource) and held.version == entry.resolve(self._facts).version
