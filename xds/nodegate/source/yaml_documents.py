"""YAML text -> documents, from the event stream of libyaml, with a line for every value and limits on all growth."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml
from yaml._yaml import CParser

from nodegate.model.problem import ProblemCode
from nodegate.source import codes, scalars
from nodegate.source.finding import Finding, Path, show_key

MAX_DEPTH = 100  # no object nodegate reads nests deeper than 12
MAX_NODES = 2_000_000  # per file, aliases counted as often as they are used: twice the values of the largest file read
MAX_FINDINGS = 100  # per document; whoever made more did not write them by hand

_STANDARD = "tag:yaml.org,2002:"
_TEXT_TAGS = frozenset({"!", _STANDARD + "str"})
_PLAIN_TAGS = frozenset(_STANDARD + name for name in ("bool", "float", "int", "null", "timestamp"))
_SHAPE_TAGS = frozenset({"!", _STANDARD + "map", _STANDARD + "seq"})
_MERGE = "<<"


class YamlFailure(Exception):
    """The text is YAML, but not a manifest that can be read; ``line`` says where. Never carries a part of the text."""

    def __init__(self, code: ProblemCode, message: str, line: int) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.line = line


class Lined:
    """A mapping or list that knows the line of each of its members."""

    __slots__ = ()

    def line_of(self, step: str | int) -> int | None:
        """Return the line of a member, or None when there is none."""
        raise NotImplementedError

    def child(self, step: str | int) -> Any:
        """Return a member, or None."""
        raise NotImplementedError


class LinedMapping(dict[str, Any], Lined):
    """A mapping without its null values, and the line of every key, those included."""

    __slots__ = ("lines",)

    def __init__(self) -> None:
        super().__init__()
        self.lines: dict[str, int] = {}

    def line_of(self, step: str | int) -> int | None:
        """Return the line of a key."""
        return self.lines.get(step) if isinstance(step, str) else None

    def child(self, step: str | int) -> Any:
        """Return the value of a key."""
        return self.get(step) if isinstance(step, str) else None


class LinedList(list[Any], Lined):
    """A list, and the line of every item."""

    __slots__ = ("lines",)

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[int] = []

    def line_of(self, step: str | int) -> int | None:
        """Return the line of an item."""
        return self.lines[step] if isinstance(step, int) and step < len(self.lines) else None

    def child(self, step: str | int) -> Any:
        """Return an item."""
        return self[step] if isinstance(step, int) and step < len(self) else None


@dataclass(slots=True)
class YamlDocument:
    """One document as it was read."""

    line: int
    value: Any = None
    findings: list[Finding] = field(default_factory=list)


@dataclass(slots=True)
class _Anchored:
    """A value that an alias may repeat: how many nodes it has, and how deep it is."""

    value: Any
    nodes: int
    height: int


@dataclass(slots=True)
class _Open:
    """A collection that is being read."""

    value: LinedMapping | LinedList
    line: int
    anchor: str | None
    nodes_before: int
    height: int = 1
    key: str | None = None
    key_line: int = 0
    merges: list[tuple[LinedMapping, int]] = field(default_factory=list)


def read_yaml(text: str) -> Iterator[YamlDocument]:
    """Yield the documents of ``text``; an empty one has the value None.

    Raises:
        YamlFailure: It nests too deep, repeats too much by aliases, or uses an alias that is not defined.
        yaml.YAMLError: It is not YAML.
    """
    parser = CParser(text)
    reader = _Reader()
    try:
        while (event := parser.get_event()) is not None:
            handle = _HANDLERS.get(type(event))
            if handle is not None:
                handle(reader, event)
            elif type(event) is yaml.DocumentEndEvent:
                yield reader.document
    finally:
        parser.dispose()


class _Reader:
    """Builds values from events, one document at a time."""

    def __init__(self) -> None:
        self.document = YamlDocument(1)
        self._open: list[_Open] = []
        self._anchors: dict[str, _Anchored] = {}
        self._nodes = 0

    def start_document(self, event: Any) -> None:
        self.document = YamlDocument(event.start_mark.line + 1)
        self._anchors.clear()

    def scalar(self, event: Any) -> None:
        line = event.start_mark.line + 1
        self._count(1, line)
        self._note_start(line)
        if self._is_key():
            self._start_pair(event, line)
            return
        value = self._scalar_value(event, line)
        if event.anchor:
            self._anchors[event.anchor] = _Anchored(value, 1, 0)
        self._put(value, line)

    def start_collection(self, event: Any) -> None:
        line = event.start_mark.line + 1
        self._count(1, line)
        self._note_start(line)
        if len(self._open) >= MAX_DEPTH:
            raise YamlFailure(codes.DOCUMENT_TOO_COMPLEX, f"Values are nested more than {MAX_DEPTH} deep.", line)
        if event.tag and event.tag not in _SHAPE_TAGS:
            self._tag(event.tag, line)
        value = LinedMapping() if type(event) is yaml.MappingStartEvent else LinedList()
        self._open.append(_Open(value, line, event.anchor, self._nodes))

    def end_collection(self, _: Any) -> None:
        done = self._open.pop()
        for merged, line in done.merges:
            self._merge(done.value, merged, line)
        if done.anchor:
            self._anchors[done.anchor] = _Anchored(done.value, self._nodes - done.nodes_before + 1, done.height)
        if self._is_key():
            self._bad_key(done.line)
            return
        self._put(done.value, done.line, done.height)

    def alias(self, event: Any) -> None:
        line = event.start_mark.line + 1
        found = self._anchors.get(event.anchor)
        if found is None:
            message = "An alias (*name) stands for an anchor (&name) that is not defined before it, or for itself."
            raise YamlFailure(codes.INVALID_SYNTAX, message, line)
        self._count(found.nodes, line)
        if len(self._open) + found.height > MAX_DEPTH:
            raise YamlFailure(codes.DOCUMENT_TOO_COMPLEX, f"Aliases are nested more than {MAX_DEPTH} deep.", line)
        if self._is_key():
            self._bad_key(line)
            return
        self._put(found.value, line, found.height)

    def _count(self, nodes: int, line: int) -> None:
        self._nodes += nodes
        if self._nodes > MAX_NODES:
            message = f"The file has more than {MAX_NODES:,} values, counting aliases as often as they are used."
            raise YamlFailure(codes.DOCUMENT_TOO_COMPLEX, message, line)

    def _note_start(self, line: int) -> None:
        """Let a document begin where its value does, not where the `---` before it is."""
        if not self._open:
            self.document.line = line

    def _is_key(self) -> bool:
        return bool(self._open) and self._open[-1].key is None and isinstance(self._open[-1].value, LinedMapping)

    def _start_pair(self, event: Any, line: int) -> None:
        top, key = self._open[-1], event.value
        if key in top.value.lines and (key != _MERGE or not event.implicit[0]):
            message = f"{show_key(key)} is written twice, here and on line {top.value.lines[key]}."
            self._report(Finding(codes.DUPLICATE_KEY, (*self._path(), key), message), line)
        top.key, top.key_line = key, line

    def _bad_key(self, line: int) -> None:
        message = "A key is not plain text but a list, a mapping or an alias."
        self._report(Finding(codes.UNSUPPORTED_YAML, self._path(), message), line)
        self._open[-1].key, self._open[-1].key_line = f"(key on line {line})", line

    def _scalar_value(self, event: Any, line: int) -> scalars.Scalar:
        text: str = event.value
        if event.tag is None:
            return scalars.resolve(text) if event.implicit[0] else text
        if event.tag in _PLAIN_TAGS:
            return scalars.resolve(text)
        if event.tag not in _TEXT_TAGS:
            self._tag(event.tag, line)
        return text

    def _tag(self, tag: str, line: int) -> None:
        short = tag.removeprefix(_STANDARD) if tag.startswith(_STANDARD) else tag
        message = f"The YAML tag {show_key(short)} on line {line} is not supported."
        self._report(Finding(codes.UNSUPPORTED_YAML, self._path(), message), line)

    def _report(self, finding: Finding, line: int) -> None:
        if len(self.document.findings) >= MAX_FINDINGS:
            raise YamlFailure(finding.code, f"There are more than {MAX_FINDINGS} faults in this document.", line)
        self.document.findings.append(finding)

    def _put(self, value: Any, line: int, height: int = 0) -> None:
        if not self._open:
            self.document.value = value
            return
        top = self._open[-1]
        top.height = max(top.height, height + 1)
        if isinstance(top.value, LinedList):
            top.value.append(value)
            top.value.lines.append(line)
            return
        key, top.key = top.key or "", None
        if key == _MERGE and self._remember_merge(top, value):
            return
        top.value.lines[key] = top.key_line
        if value is not None:
            top.value[key] = value

    @staticmethod
    def _remember_merge(top: _Open, value: Any) -> bool:
        """Keep the mappings of a merge key (``<<``) for the end: what the mapping says itself goes before them."""
        candidates = value if isinstance(value, LinedList) else [value]
        if not all(isinstance(candidate, LinedMapping) for candidate in candidates):
            return False
        top.merges.extend((candidate, top.key_line) for candidate in candidates)
        return True

    def _merge(self, into: Any, merged: LinedMapping, line: int) -> None:
        self._count(len(merged), line)
        for key, key_line in merged.lines.items():
            if key not in into.lines:
                into.lines[key] = key_line
                if key in merged:
                    into[key] = merged[key]

    def _path(self) -> Path:
        """Return the path of the value that is being read."""
        steps = (len(one.value) if isinstance(one.value, LinedList) else one.key for one in self._open)
        return tuple(step for step in steps if step is not None)


_HANDLERS: dict[type, Callable[[_Reader, Any], None]] = {
    yaml.ScalarEvent: _Reader.scalar,
    yaml.MappingStartEvent: _Reader.start_collection,
    yaml.SequenceStartEvent: _Reader.start_collection,
    yaml.MappingEndEvent: _Reader.end_collection,
    yaml.SequenceEndEvent: _Reader.end_collection,
    yaml.AliasEvent: _Reader.alias,
    yaml.DocumentStartEvent: _Reader.start_document,
}
