"""The question that planning asks about other types; ``ordering`` answers it."""

from __future__ import annotations

from typing import Protocol

from nodegate.server.protocol.agenda import Hold
from nodegate.server.protocol.ledger import Held
from nodegate.snapshot.resource import Key, Resource


class Gate(Protocol):
    """Says why something has to wait for another type (``ordering``)."""

    def update(self, resource: Resource, held: Held | None) -> Hold | None:
        """Return why this resource must not be sent yet to a client that holds this, or None."""

    def removal(self, key: Key, *, asked: bool = False) -> Hold | None:
        """Return why this resource must not be removed yet, or None; ``asked`` where the client waits for an answer."""

    def stand_in(self, key: Key) -> Resource | None:
        """Return what to answer where the variant cannot say that something does not exist, or None: nothing."""
