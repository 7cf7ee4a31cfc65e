"""The text of a journal: what a cluster held, as lines of JSON. Pure.

The first line says who wrote it and what for. Then come records: as many as the header counts hold everything there
was when the file was made, each later one a change. What is decoded is what was told, so that it is translated by
whichever nodegate reads it (decision 0017).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import get_args

import msgspec

from nodegate.model.objects import (
    EndpointSlice,
    Ingress,
    IngressClass,
    Namespace,
    Node,
    Object,
    Secret,
    Service,
)
from nodegate.model.refs import Kind, Ref

FORMAT, VERSION = "nodegate.dev/objects", 1
PER_RECORD = 200
"""Objects in one record of a whole journal; encoding one record holds the interpreter for a millisecond or so."""

Changes = Mapping[Ref, Object | None]
"""What is known of some objects: the content, or None when it is gone."""


class NotUnderstood(ValueError):
    """A journal that cannot be used; the text says why, as a sentence."""


class _Header(msgspec.Struct, frozen=True):
    """``fields`` are those of objects the writer knew of, ``records`` how many records make a whole."""

    format: str
    version: int
    writer: str
    source: str
    fields: tuple[str, ...]
    records: int


class _Record(msgspec.Struct, frozen=True, omit_defaults=True):
    """Objects by kind, and the names of those that are gone."""

    ingresses: tuple[Ingress, ...] = ()
    classes: tuple[IngressClass, ...] = ()
    services: tuple[Service, ...] = ()
    slices: tuple[EndpointSlice, ...] = ()
    secrets: tuple[Secret, ...] = ()
    namespaces: tuple[Namespace, ...] = ()
    nodes: tuple[Node, ...] = ()
    gone: tuple[tuple[Kind, str, str], ...] = ()

    def changes(self) -> Iterator[tuple[Ref, Object | None]]:
        """Yield what this record says of each object."""
        for name in _PLACE.values():
            yield from ((one.ref, one) for one in getattr(self, name))
        yield from ((Ref(*one), None) for one in self.gone)


_PLACE: Mapping[Kind, str] = {
    Kind.INGRESS: "ingresses",
    Kind.INGRESS_CLASS: "classes",
    Kind.SERVICE: "services",
    Kind.ENDPOINT_SLICE: "slices",
    Kind.SECRET: "secrets",
    Kind.NAMESPACE: "namespaces",
    Kind.NODE: "nodes",
}

_header = msgspec.json.Decoder(_Header)
_record = msgspec.json.Decoder(_Record)


def known_fields() -> tuple[str, ...]:
    """Return every field of objects that this nodegate reads, as ``IngressSpec.ingressClassName``."""
    _, components = msgspec.json.schema_components(get_args(Object))
    return tuple(sorted(f"{name}.{field}" for name, schema in components.items() for field in schema["properties"]))


def whole(objects: Mapping[Ref, Object], source: str, writer: str) -> Iterator[bytes]:
    """Yield the lines of a journal that holds these objects of one source; ``writer`` is nodegate's version."""
    contents = list(objects.items())
    groups = [dict(contents[start : start + PER_RECORD]) for start in range(0, len(contents), PER_RECORD)]
    yield _line(_Header(FORMAT, VERSION, writer, source, known_fields(), len(groups)))
    yield from map(record, groups)


def record(changes: Changes) -> bytes:
    """Return one line: changes that belong together."""
    places: dict[str, list[Object]] = {}
    for ref, content in changes.items():
        if content is not None:
            places.setdefault(_PLACE[ref.kind], []).append(content)
    gone = tuple((ref.kind, ref.namespace, ref.name) for ref, content in changes.items() if content is None)
    return _line(_Record(**{place: tuple(found) for place, found in places.items()}, gone=gone))  # type: ignore[arg-type]


def read(lines: Iterable[bytes], source: str) -> tuple[dict[Ref, Object], bool]:
    """Return the objects that a journal of this source comes to, and whether its end is whole.

    Its last records may be missing or torn, as after a crash: then it is what it was before them.

    Raises:
        NotUnderstood: It is damaged further up, of another source, or of a nodegate that wrote it otherwise.
    """
    rest = iter(lines)
    header = _read_header(next(rest, b""), source)
    objects: dict[Ref, Object] = {}
    good, torn = 0, False
    for line in rest:
        found = _whole_record(line)
        if found is None:
            torn = True
            break
        _apply(objects, found)
        good += 1
    if good < header.records:
        raise NotUnderstood(f"Only {good} of the {header.records} records it began with can be read.")
    return objects, not torn


def _whole_record(line: bytes) -> _Record | None:
    try:
        return _record.decode(line) if line.endswith(b"\n") else None
    except msgspec.DecodeError:
        return None


def _apply(objects: dict[Ref, Object], found: _Record) -> None:
    for ref, content in found.changes():
        if content is None:
            objects.pop(ref, None)
        else:
            objects[ref] = content


def _read_header(line: bytes, source: str) -> _Header:
    try:
        header = _header.decode(line)
    except msgspec.DecodeError as error:
        raise NotUnderstood("Its first line is not that of a journal.") from error
    if (header.format, header.version) != (FORMAT, VERSION):
        raise NotUnderstood(f"It is of version {header.version}, and this nodegate reads version {VERSION}.")
    if header.source != source:
        raise NotUnderstood(f"It is of another cluster or other namespaces: {header.source}.")
    if missing := sorted(set(known_fields()) - set(header.fields)):
        raise NotUnderstood(f"nodegate {header.writer}, which wrote it, did not read {missing[0]} yet.")
    return header


def _line(value: _Header | _Record) -> bytes:
    return msgspec.json.encode(value) + b"\n"
