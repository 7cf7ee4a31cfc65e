"""A cluster that keeps what is sent to it, for tests of what is sent; what an API server does with it is not shown."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nodegate.errors import ClusterError
from nodegate.status.work import Work


@dataclass(frozen=True)
class Sent:
    """One request."""

    method: str
    path: str
    query: Mapping[str, str]
    body: Any

    @property
    def name(self) -> str:
        """What it was about: ``services/nodegate-shop``."""
        return "/".join(self.path.split("/")[-2:])


class Answered(ClusterError):
    """An answer that is an error."""

    def __init__(self, status: int) -> None:
        super().__init__(f"{status}")
        self.status = status


class Api:
    """Takes every request, or answers the next ones with the statuses it is given."""

    def __init__(self, *errors: int) -> None:
        self.sent: list[Sent] = []
        self.errors = list(errors)

    async def send(self, method: str, path: str, query: Mapping[str, str], body: bytes, content_type: str) -> bytes:
        """Keep a request."""
        self.sent.append(Sent(method, path, dict(query), json.loads(body)))
        if self.errors:
            raise Answered(self.errors.pop(0))
        return b"{}"


async def done(work: Work[Any]) -> None:
    """Let everything be worked on that there is, what has to be repeated included."""
    running = asyncio.create_task(work.run())
    while len(work):  # noqa: ASYNC110  # nothing announces it, and time is virtual
        await asyncio.sleep(0.05)
    running.cancel()
