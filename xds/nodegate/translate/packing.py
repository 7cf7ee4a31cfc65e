"""Protocol Buffers in the one form nodegate writes them: deterministic bytes, typed ``Any``."""

from __future__ import annotations

from typing import Any

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message

from nodegate.snapshot.type_urls import PREFIX


def serialised(message: Message) -> bytes:
    """Return the bytes of a message, the same for the same content (DESIGN 2.1)."""
    return message.SerializeToString(deterministic=True)


def pack(field: Any, message: Message) -> None:
    """Put a message into a ``google.protobuf.Any`` field of another one."""
    field.type_url = PREFIX + message.DESCRIPTOR.full_name
    field.value = serialised(message)


def blank(size: int) -> str:
    """Return a text of so many bytes that is in no message by itself, to be put where other texts will be."""
    return "\0" * size


def around_blanks(message: Message, size: int) -> tuple[bytes, ...]:
    """Return the bytes of a message around its blanks of this size.

    Joined with the bytes of a text of the same size they are the message with that text in its place. What is made ten
    thousand times with another name is serialised once this way: lengths are written in front of what they count, so
    that size is all that the bytes around a text depend on.
    """
    return tuple(serialised(message).split(blank(size).encode()))


def seconds(value: float) -> Duration:
    """Return a duration in seconds."""
    whole = int(value)
    return Duration(seconds=whole, nanos=round((value - whole) * 1_000_000_000))
