"""Writes the claims to the state folder whenever they have changed, without holding up the event loop."""

from __future__ import annotations

from asyncio import to_thread

import structlog

from nodegate.errors import StateError
from nodegate.ports import Claims, Ports, PortStore

log = structlog.get_logger(__name__)


class Keeper:
    """Keeps claims in a store; without a store, or where they are written on objects, it has nothing to do."""

    def __init__(self, claims: Ports, store: PortStore | None) -> None:
        self._claims = claims
        self._store = store
        self._kept = claims.revision

    async def keep(self) -> bool:
        """Write the claims if they have changed since; return False, and log why, when that failed."""
        revision = self._claims.revision
        if self._store is None or revision == self._kept or not isinstance(self._claims, Claims):
            return True
        try:
            await to_thread(self._store.write, self._store.encode(self._claims))
        except StateError as error:
            log.error(str(error))  # noqa: TRY400  # the sentence says it all
            return False
        self._kept = revision
        return True
