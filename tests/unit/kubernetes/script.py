"""An API server played from a script, in virtual time: which bytes come for which request, when, and how it ends.

The bytes of objects are those of a real API server (``recorded/``, made by ``tests/kube/record.py``). What is played
here is the network: a script is what happened on one connection after the other.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nodegate.source.kubernetes.answers import Interrupted, refusal

RECORDED = Path(__file__).parent / "recorded"


@dataclass(frozen=True)
class Pause:
    """Nothing comes for some seconds."""

    seconds: float


@dataclass(frozen=True)
class Break:
    """The connection breaks."""


Step = bytes | Pause | Break


@dataclass(frozen=True)
class Answer:
    """One answer: its status, what comes of its body and when. It ends after its last step."""

    steps: tuple[Step, ...] = ()
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)

    async def chunks(self) -> AsyncIterator[bytes]:
        """Play the body."""
        for step in self.steps:
            match step:
                case bytes():
                    yield step
                case Pause(seconds):
                    await asyncio.sleep(seconds)
                case Break():
                    raise Interrupted("The connection was reset.")

    async def read(self) -> bytes:
        """Return the whole body."""
        return b"".join([chunk async for chunk in self.chunks()])


@dataclass(frozen=True)
class Asked:
    """A request as it came, and when."""

    at: float
    path: str
    query: Mapping[str, str]


class Script:
    """Answers requests in order; after the last line every watch stays open and says nothing."""

    def __init__(self, *answers: Answer | Callable[[], Answer]) -> None:
        self._answers = list(answers)
        self.asked: list[Asked] = []
        self.renewed = 0

    @asynccontextmanager
    async def get(self, path: str, query: Mapping[str, str]) -> AsyncIterator[Answer]:
        """Answer as the script says."""
        self.asked.append(Asked(asyncio.get_running_loop().time(), path, dict(query)))
        answer = self._answers.pop(0) if self._answers else Answer((Pause(1e9),))
        answer = answer if isinstance(answer, Answer) else answer()
        if answer.status != 200:
            raise refusal(answer.status, answer.headers, await answer.read())
        yield answer

    async def renew(self) -> None:
        """Count that credentials were read anew."""
        self.renewed += 1

    @property
    def times(self) -> list[float]:
        """When each request came."""
        return [asked.at for asked in self.asked]


def refused(status: int, message: str = "", **headers: str) -> Answer:
    """Return an error as the API server words it."""
    body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "code": status}
    return Answer(
        (json.dumps(body).encode(),), status, {name.replace("_", "-"): value for name, value in headers.items()}
    )


def unreachable() -> Answer:
    """Return nothing: there is no server."""
    raise Interrupted("Connection refused.")


def recorded(name: str) -> list[bytes]:
    """Return the lines of a recorded stream, each with its end."""
    return (RECORDED / name).read_bytes().splitlines(keepends=True)


def event(line: bytes) -> Any:
    """Return what a recorded line says, decoded."""
    return json.loads(line)


def names(lines: Iterable[bytes]) -> list[str]:
    """Return the names of the objects in recorded lines."""
    return [event(line)["object"]["metadata"]["name"] for line in lines]
