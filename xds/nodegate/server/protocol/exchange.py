"""A response of one type and what became of it: sent, and acknowledged or refused by the client."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from msgspec import Struct

from nodegate.server.protocol.shared import SharedUpdate
from nodegate.snapshot.resource import Resource

Sent = Mapping[str, Resource | None]
"""What a response does: name -> the resource it carries, or None where it says that there is none."""


class Outstanding(Struct, frozen=True):
    """The one response of a type that the client has not answered yet (49).

    ``shared`` is the update it carries, where that is the same for many streams; ``edits`` how often the subscription
    had been changed when it went out.
    """

    nonce: str
    version: str
    sent: Sent
    shared: SharedUpdate | None = None
    edits: int = 0


@dataclass(frozen=True, slots=True)
class Refused:
    """A NACK: the client's text, and the resources known to be at fault."""

    text: str
    guilty: tuple[Resource, ...]


@dataclass(slots=True)
class Counters:
    """What happened on one type of one stream, for people."""

    sent: int = 0
    acked: int = 0
    nacked: int = 0
    sent_version: str = ""
    acked_version: str = ""
    last_nack: str = ""
