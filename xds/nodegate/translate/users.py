"""Who depends on what: the reverse of "uses", kept exact so that a change finds its dependents and no more."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

Used = TypeVar("Used", bound=Hashable)
User = TypeVar("User", bound=Hashable)


class Users(Generic[Used, User]):
    """The users of each used thing. A thing nobody uses is not held."""

    def __init__(self) -> None:
        self._users: dict[Used, set[User]] = {}

    def of(self, used: Used) -> frozenset[User] | set[User]:
        """Return the users of a thing; do not modify it."""
        return self._users.get(used, frozenset())

    def replace(self, user: User, before: frozenset[Used], now: frozenset[Used]) -> tuple[set[Used], set[Used]]:
        """Note that a user uses other things now; return what has its first user for it, and what lost its last."""
        first, last = set(), set()
        for used in now - before:
            users = self._users.setdefault(used, set())
            if not users:
                first.add(used)
            users.add(user)
        for used in before - now:
            users = self._users[used]
            users.discard(user)
            if not users:
                del self._users[used]
                last.add(used)
        return first, last

    def __contains__(self, used: Used) -> bool:
        """Whether anybody uses a thing."""
        return used in self._users

    def __iter__(self) -> Iterator[Used]:
        """Yield everything that has a user."""
        return iter(self._users)

    def __len__(self) -> int:
        """Return how many things have a user."""
        return len(self._users)
