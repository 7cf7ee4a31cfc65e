"""The bytes of lists and watches, made out. Pure.

A watch is a stream of JSON documents, one per line, of any length and cut anywhere. Only the head of an event is
decoded here; the object stays raw until it is known which fields of it matter.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from nodegate.source.kubernetes.answers import Status, refused

_INITIAL_EVENTS_END = "k8s.io/initial-events-end"
_raw = msgspec.Raw()


class _Meta(msgspec.Struct, frozen=True, rename="camel"):
    name: str = ""
    namespace: str = ""
    resource_version: str = ""
    continue_: str = msgspec.field(default="", name="continue")
    annotations: dict[str, str] | None = None


class Event(msgspec.Struct, frozen=True):
    """One event: ``ADDED``, ``MODIFIED``, ``DELETED`` or ``BOOKMARK``, with the object as it came."""

    type: str
    object: msgspec.Raw


class Head(msgspec.Struct, frozen=True):
    """The part of any object, or list, that says which one it is and at what version."""

    metadata: _Meta = _Meta()

    @property
    def version(self) -> str:
        """The version to go on from."""
        return self.metadata.resource_version

    @property
    def ends_listing(self) -> bool:
        """Whether this bookmark says that a streamed listing is complete."""
        return (self.metadata.annotations or {}).get(_INITIAL_EVENTS_END) == "true"


class _Manager(msgspec.Struct, frozen=True):
    manager: str = ""
    subresource: str = ""


class _ManagedMeta(msgspec.Struct, frozen=True, rename="camel"):
    managed_fields: tuple[_Manager, ...] | None = None


class _Managed(msgspec.Struct, frozen=True):
    """Who wrote what of an object, as far as it matters here."""

    metadata: _ManagedMeta


class Page(msgspec.Struct, frozen=True):
    """A page of a list. ``metadata.continue_`` asks for the next one, empty on the last."""

    metadata: _Meta = _Meta()
    items: tuple[msgspec.Raw, ...] | None = None


class Lines:
    """Cuts a stream of bytes into lines, without any limit on their length."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Yield the lines that this chunk completes; an empty line is none."""
        *complete, rest = chunk.split(b"\n")
        for line in complete:
            whole = b"".join((*self._parts, line))
            self._parts.clear()
            if whole.strip():
                yield whole
        if rest:
            self._parts.append(rest)


_event = msgspec.json.Decoder(Event)
_head = msgspec.json.Decoder(Head)
_managed = msgspec.json.Decoder(_Managed)
_page = msgspec.json.Decoder(Page)
_status = msgspec.json.Decoder(Status)


def read_event(line: bytes) -> Event:
    """Return one event of a watch.

    Raises:
        Refused: It is an ``ERROR`` event; the server ends the stream after it.
        msgspec.DecodeError: The line is no event.
    """
    event = _event.decode(line)
    if event.type == "ERROR":
        raise refused(_status.decode(event.object))
    return event


def read_head(raw: msgspec.Raw) -> Head:
    """Return what an object says about itself; raises msgspec.DecodeError."""
    return _head.decode(raw)


def manages(manager: str, subresource: str, raw: msgspec.Raw) -> bool:
    """Return whether a field manager owns anything in a subresource of an object ("Server-Side Apply" in the docs)."""
    managers = _managed.decode(raw).metadata.managed_fields or ()
    return any((one.manager, one.subresource) == (manager, subresource) for one in managers)


def read_page(body: bytes) -> Page:
    """Return one page of a list; raises msgspec.DecodeError."""
    return _page.decode(body)
