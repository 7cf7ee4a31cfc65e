"""What a client asks for of one resource type: all of them, some names, or both."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from types import MappingProxyType

WILDCARD = "*"

_NOTHING: Mapping[str, object] = MappingProxyType({})


class Names(AbstractSet[str]):
    """The names a client asked for.

    A proxy asks for the endpoints of every cluster there is, so most streams' names are the keys of the mapping they
    share; each keeps the differences only. 10,000 names on a stream are 100 bytes instead of a megabyte.
    """

    __slots__ = ("_added", "_left_out", "base")

    def __init__(self) -> None:
        self.base = _NOTHING
        self._added: set[str] = set()
        self._left_out: set[str] = set()

    def __contains__(self, name: object) -> bool:
        return name in self._added or (name in self.base and name not in self._left_out)

    def __len__(self) -> int:
        return len(self.base) - len(self._left_out) + len(self._added)

    def __iter__(self) -> Iterator[str]:
        yield from self._added
        for name in self.base:
            if name not in self._left_out:
                yield name

    @property
    def is_whole_base(self) -> bool:
        """Whether the names are those of the shared mapping, no more and no less."""
        return not self._added and not self._left_out

    def difference(self, asked: set[str]) -> tuple[set[str], set[str]]:
        """Return which of ``asked`` are not in here, and which in here are not in ``asked``."""
        fresh = (asked - self._added - self.base.keys()) | (asked & self._left_out)
        gone = (self._added - asked) | (self.base.keys() - asked - self._left_out)
        return fresh, gone

    def change(self, added: Iterable[str], removed: Iterable[str]) -> None:
        """Put names in and take names out."""
        for name in added:
            self._left_out.discard(name)
            if name not in self.base:
                self._added.add(name)
        for name in removed:
            self._added.discard(name)
            if name in self.base:
                self._left_out.add(name)

    def share(self, mapping: Mapping[str, object], changed: Iterable[str]) -> None:
        """Keep the differences to this mapping from now on.

        ``changed`` holds every name that is in only one of the old and the new mapping.
        """
        wanted = {name: name in self for name in changed}
        self.base = mapping
        for name, wants in wanted.items():
            self._added.discard(name)
            self._left_out.discard(name)
            if wants and name not in mapping:
                self._added.add(name)
            elif not wants and name in mapping:
                self._left_out.add(name)
        for differences in (self._added, self._left_out):
            if not differences:
                differences.clear()  # a set that was emptied name by name keeps its memory


@dataclass(frozen=True, slots=True)
class Edit:
    """What one request changed in a subscription.

    ``answer``: names that have to be answered, whatever the client holds (19, 20, 28, 32). ``dropped``: names the
    client is no longer subscribed to. ``look_again``: which names are subscribed changed as a whole, because the
    wildcard began or ended. ``answer_all``: everything has to be answered (the wildcard was asked for by name).
    """

    answer: frozenset[str] = frozenset()
    dropped: frozenset[str] = frozenset()
    look_again: bool = False
    answer_all: bool = False

    def __bool__(self) -> bool:
        """Return whether anything changed or has to be answered."""
        return bool(self.answer or self.dropped or self.look_again or self.answer_all)


_NO_EDIT = Edit()


class Subscription:
    """The subscription of one stream to one type (21-23, 27, 31-33).

    ``may_be_implicit`` says whether an empty first request means everything: Listener and Cluster only (21, 33).
    ``may_be_wildcard`` says whether there is a wildcard at all; where not, ``*`` is a name like any other (51).
    """

    __slots__ = ("_ever_named", "_first", "_may_be_implicit", "_may_be_wildcard", "edits", "names", "wildcard")

    def __init__(self, *, may_be_implicit: bool, may_be_wildcard: bool = True) -> None:
        self.wildcard = False
        self.names = Names()
        self.edits = 0
        """How many requests changed it so far."""
        self._may_be_implicit = may_be_implicit
        self._may_be_wildcard = may_be_wildcard
        self._ever_named = False
        self._first = True

    def wants(self, name: str) -> bool:
        """Return whether the client is subscribed to this name."""
        return self.wildcard or name in self.names

    def replace(self, names: Iterable[str]) -> Edit:
        """Apply the ``resource_names`` of a state-of-the-world request, which are the whole subscription (21, 22)."""
        asked = set(names)
        if not asked and self.wildcard and not self._ever_named:
            return _NO_EDIT
        was_wildcard = self.wildcard
        implicit = not asked and not self._ever_named and self._may_be_implicit
        self._ever_named = self._ever_named or bool(asked)
        self.wildcard = implicit or self._take_wildcard(asked)
        fresh, gone = self.names.difference(asked)
        self.names.change(fresh, gone)
        return self._count(
            Edit(
                answer=frozenset(fresh),
                dropped=frozenset() if self.wildcard else frozenset(gone),
                look_again=self.wildcard != was_wildcard,
            )
        )

    def edit(self, subscribe: Collection[str], unsubscribe: Collection[str]) -> Edit:
        """Apply the names of a delta request, which change the subscription (27, 31-33).

        A name in both lists stays subscribed: to send one resource too many harms nobody.
        """
        first, self._first = self._first, False
        if not (subscribe or unsubscribe or first):
            return _NO_EDIT
        added, removed = set(subscribe), set(unsubscribe)
        was_wildcard = self.wildcard
        implicit = first and not added and self._may_be_implicit
        starts, ends = self._take_wildcard(added), self._take_wildcard(removed)
        self.wildcard = implicit or starts or (was_wildcard and not ends)
        left = {name for name in removed - added if name in self.names}
        self.names.change(added, left)
        return self._count(
            Edit(
                # Still covered by the wildcard, so the client has to be told what became of it (32).
                answer=frozenset(added | left) if self.wildcard else frozenset(added),
                dropped=frozenset() if self.wildcard else frozenset(left),
                look_again=self.wildcard != was_wildcard,
                answer_all=starts and not first,
            )
        )

    def _take_wildcard(self, names: set[str]) -> bool:
        """Take the wildcard out of these names, if it is one here; return whether it was in."""
        if not self._may_be_wildcard or WILDCARD not in names:
            return False
        names.discard(WILDCARD)
        return True

    def _count(self, edit: Edit) -> Edit:
        self.edits += bool(edit)
        return edit
