"""What a client asks for of one resource type: all of them, some names, or both."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

WILDCARD = "*"


@dataclass(frozen=True, slots=True)
class Edit:
    """What one request changed in a subscription.

    ``answer``: names that have to be answered, whatever the client holds (19, 20, 28, 32). ``dropped``: names the
    client is no longer subscribed to. ``look_again``: which names are subscribed changed as a whole, because the
    wildcard began or ended. ``answer_all``: everything has to be answered (a wildcard subscribed to again).
    """

    answer: frozenset[str] = frozenset()
    dropped: frozenset[str] = frozenset()
    look_again: bool = False
    answer_all: bool = False


class Subscription:
    """The subscription of one stream to one type (21-23, 27, 31-33).

    ``may_be_implicit`` says whether an empty first request means everything: Listener and Cluster only (21, 33).
    """

    __slots__ = ("_ever_named", "_first", "_may_be_implicit", "names", "wildcard")

    def __init__(self, *, may_be_implicit: bool) -> None:
        self.wildcard = False
        self.names: set[str] = set()
        self._may_be_implicit = may_be_implicit
        self._ever_named = False
        self._first = True

    def wants(self, name: str) -> bool:
        """Return whether the client is subscribed to this name."""
        return self.wildcard or name in self.names

    def replace(self, names: Iterable[str]) -> Edit:
        """Apply the ``resource_names`` of a state-of-the-world request, which are the whole subscription (21, 22)."""
        asked = set(names)
        was_wildcard, old = self.wildcard, self.names
        implicit = not asked and not self._ever_named and self._may_be_implicit
        self._ever_named = self._ever_named or bool(asked)
        self.wildcard = implicit or WILDCARD in asked
        asked.discard(WILDCARD)
        self.names = asked
        return Edit(
            answer=frozenset(asked - old),
            dropped=frozenset() if self.wildcard else frozenset(old - asked),
            look_again=self.wildcard != was_wildcard,
        )

    def edit(self, subscribe: Iterable[str], unsubscribe: Iterable[str]) -> Edit:
        """Apply the names of a delta request, which change the subscription (27, 31-33).

        A name in both lists stays subscribed: to send one resource too many harms nobody.
        """
        added, removed = set(subscribe), set(unsubscribe)
        implicit = self._first and not added and self._may_be_implicit
        self._first = False
        was_wildcard = self.wildcard
        left = self.names & removed - added
        self.wildcard = implicit or WILDCARD in added or (self.wildcard and WILDCARD not in removed)
        answer_all = was_wildcard and WILDCARD in added
        added.discard(WILDCARD)
        self.names = (self.names - left) | added if left or added else self.names
        return Edit(
            # Still covered by the wildcard, so the client has to be told what became of it (32).
            answer=frozenset(added | left) if self.wildcard else frozenset(added),
            dropped=frozenset() if self.wildcard else frozenset(left),
            look_again=self.wildcard != was_wildcard,
            answer_all=answer_all,
        )
