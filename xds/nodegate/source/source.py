"""The one interface of all sources."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

from nodegate.model.changes import Batch


class Source(Protocol):
    """Delivers the objects nodegate serves, and follows them."""

    def batches(self) -> AsyncIterator[Batch]:
        """Yield what exists, then every change, until cancelled.

        Batches are to be applied in order, each as one change. ``synced`` is False until everything that exists at
        the start has been yielded, then stays True. A delete is yielded only for an object that was yielded before.

        Raises:
            SourceError: The source cannot deliver objects at all. What goes wrong later, or with one object, is a
                Problem in a batch instead, and everything delivered so far stays.
        """
        ...
