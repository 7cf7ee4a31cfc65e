"""Emptying a cluster that routes still name is the one change that nobody needs at once, and that may be half a change.

When a Service is renamed, its objects come one by one, in any order: the old Service may be gone before the Ingress
names the new one. To tell the proxies then that there are no endpoints loses requests for nothing, since endpoints that
are really gone answer no sooner for it. So such a change waits for the whole hold-off limit, measured from when it was
first seen; every other change goes on (decision 0006).
"""

from __future__ import annotations

from collections.abc import Mapping

from nodegate.engine.holdoff import LIMIT_SECONDS
from nodegate.snapshot.resource import Entry, Key
from nodegate.snapshot.target import Target
from nodegate.snapshot.type_urls import CLUSTER, ENDPOINT

Resources = dict[Key, Entry | None]


class Emptyings:
    """Which ClusterLoadAssignments are about to become empty, and since when."""

    def __init__(self, patience: float = LIMIT_SECONDS) -> None:
        """Hold each back for ``patience`` seconds of the event loop's clock."""
        self._patience = patience
        self._since: dict[Key, float] = {}

    def seen(self, key: Key, now: float) -> None:
        """Start the wait of one that is not split off yet."""
        self._since.setdefault(key, now)

    def split(self, target: Target, changes: Mapping[Key, Entry | None], now: float) -> tuple[Resources, Resources]:
        """Return which of these changes go out now, and which are held back for the time being."""
        emptied = {key for key, entry in changes.items() if empties(target, key, entry)}
        self._since = {key: self._since.get(key, now) for key in emptied}
        go: Resources = {key: entry for key, entry in changes.items() if key not in emptied}
        named = target.named_after(go) if emptied else {}
        held: Resources = {}
        for key in sorted(emptied):
            waits = named.get((CLUSTER, key[1])) and now < self._since[key] + self._patience
            (held if waits else go)[key] = changes[key]
        self._since = {key: since for key, since in self._since.items() if key in held}
        return go, held

    @property
    def deadline(self) -> float | None:
        """When the first that is held back has waited long enough; None when nothing is."""
        return min(self._since.values()) + self._patience if self._since else None


def empties(target: Target, key: Key, entry: Entry | None) -> bool:
    """Return whether a change takes the last endpoint from a cluster that has some."""
    if key[0] != ENDPOINT or entry is None or not entry.empty:
        return False
    before = target.get(*key)
    return before is not None and not before.empty
