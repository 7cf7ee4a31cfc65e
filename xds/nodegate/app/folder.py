"""A folder of manifests as the source."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import structlog
from prometheus_client.registry import Collector

from nodegate.app.followed import Plane
from nodegate.model.changes import Batch
from nodegate.ports import Claims, Ports, PortStore
from nodegate.settings import ServeSettings
from nodegate.source.files import FolderSource

log = structlog.get_logger(__name__)


class FollowedFolder:
    """A folder that is followed; nothing is ever written to it."""

    def __init__(self, settings: ServeSettings) -> None:
        if not isinstance(settings.source, Path):
            raise TypeError(f"{settings.source} is no folder.")
        self._source = FolderSource(settings.source, settings.state_dir, keep_secrets=settings.state_secrets)
        self._state_dir = settings.state_dir

    def collectors(self) -> tuple[Collector, ...]:
        """Return nothing."""
        return ()

    def ports(self) -> tuple[Ports, PortStore | None]:
        """Return the claims that are made here."""
        return _kept_claims(self._state_dir)

    def replica(self) -> None:
        """Return nothing: there is one."""

    def start(self, _plane: Plane) -> AsyncIterator[Batch]:
        """Return the batches; the engine's reading of them is what follows the folder."""
        return self._source.batches()


def _kept_claims(folder: Path | None) -> tuple[Claims, PortStore | None]:
    """Return the claims that are kept in the folder, and where they go on being kept; without a folder, none."""
    if folder is None:
        return Claims(), None
    store = PortStore(folder)
    claims = store.load()
    if store.set_aside is not None:
        log.warning(
            "The kept ports were damaged and are set aside; listeners get ports anew.", file=str(store.set_aside)
        )
    return claims, store
