"""Who depends on what: the reverse of "uses", kept exact so that a change finds its dependents and no more."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterator
from itertools import chain
from typing import Generic, TypeVar

Used = TypeVar("Used", bound=Hashable)
User = TypeVar("User", bound=Hashable)


class Users(Generic[Used, User]):
    """The users of each used thing. A thing nobody uses is not held.

    Most things have one user, which is held as it is: a set for each took 6.5 MB for 10,000 Services.
    """

    def __init__(self) -> None:
        self._only: dict[Used, User] = {}
        self._several: dict[Used, set[User]] = {}

    def of(self, used: Used) -> Collection[User]:
        """Return the users of a thing; do not modify it."""
        if used in self._only:
            return (self._only[used],)
        return self._several.get(used, ())

    def replace(self, user: User, before: Collection[Used], now: Collection[Used]) -> tuple[set[Used], set[Used]]:
        """Note that a user uses other things now; return what has its first user for it, and what lost its last."""
        first = {used for used in set(now).difference(before) if self._add(used, user)}
        last = {used for used in set(before).difference(now) if self._drop(used, user)}
        return first, last

    def _add(self, used: Used, user: User) -> bool:
        """Note a user; return whether it is the first."""
        if used in self._several:
            self._several[used].add(user)
        elif used in self._only:
            self._several[used] = {self._only.pop(used), user}
        else:
            self._only[used] = user
            return True
        return False

    def _drop(self, used: Used, user: User) -> bool:
        """Forget a user; return whether it was the last."""
        if used in self._only:
            del self._only[used]
            return True
        users = self._several[used]
        users.discard(user)
        if len(users) == 1:
            (self._only[used],) = self._several.pop(used)
        return False

    def __contains__(self, used: Used) -> bool:
        """Whether anybody uses a thing."""
        return used in self._only or used in self._several

    def __iter__(self) -> Iterator[Used]:
        """Yield everything that has a user."""
        return chain(self._only, self._several)

    def __len__(self) -> int:
        """Return how many things have a user."""
        return len(self._only) + len(self._several)
