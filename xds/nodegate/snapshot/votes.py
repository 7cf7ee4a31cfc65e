"""What clients said about the content that the target has for a resource now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from nodegate.model.refs import Ref
from nodegate.snapshot.resource import Key


@dataclass(frozen=True, slots=True)
class Votes:
    """Who accepted and who rejected one resource at its current content; nodes by id, rejections with their text.

    ``pending`` are the nodes that take this type, or may come to, and have not answered yet: a proxy names a new
    cluster's endpoints only when it has the cluster. ``causes`` are the objects the resource was made from.
    """

    key: Key
    causes: tuple[Ref, ...]
    rejected: Mapping[str, str]
    accepted: frozenset[str] = frozenset()
    pending: frozenset[str] = frozenset()

    @property
    def answered(self) -> int:
        """How many clients have answered."""
        return len(self.rejected) + len(self.accepted)
