"""What clients reject, in the log: once for each client and content, however often it is said."""

from __future__ import annotations

from collections.abc import Hashable, Iterable

import structlog

from nodegate.server.protocol.postponement import POSTPONED_BY_NACK
from nodegate.server.protocol.request import ClientNode
from nodegate.server.protocol.stream import Refusal
from nodegate.snapshot.type_urls import SHORT_NAME

log = structlog.get_logger(__name__)

_REMEMBERED = 10_000
"""How many lines are remembered, the oldest forgotten first: what a hostile client sends has to stay bounded."""


class Complaints:
    """Writes refusals to the log.

    A proxy that rejects content says so again whenever it connects, and in each half of a message whose culprit is
    not known yet. The debug pages say what is rejected now; the log says it when it is new.
    """

    def __init__(self) -> None:
        self._told: dict[Hashable, None] = {}

    def report(self, node: ClientNode, refusal: Refusal) -> None:
        """Write a line about a refusal, unless this client has been told of for all of it already."""
        type_name = SHORT_NAME.get(refusal.type_url, refusal.type_url)
        if refusal.type_url in POSTPONED_BY_NACK:
            first, *more = refusal.text.splitlines()
            log.info("An agent has not installed all yet.", node=node.id, reason=first, more=len(more))
            return
        contents = [(one.name, one.version) for one in refusal.resources] or [("", refusal.text)]
        if self._is_news((node.id, type_name, *content) for content in contents):
            log.warning(
                "A proxy rejected configuration; it keeps what it has.",
                node=node.id,
                type=type_name,
                resources=list(refusal.names) or "not known yet",
                reason=refusal.text,
            )

    def _is_news(self, keys: Iterable[Hashable]) -> bool:
        new = [key for key in keys if key not in self._told]
        self._told |= dict.fromkeys(new)
        while len(self._told) > _REMEMBERED:
            del self._told[next(iter(self._told))]
        return bool(new)
