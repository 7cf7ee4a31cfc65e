"""On which line of a document a field is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Protocol

import yaml

from nodegate.source.finding import Path
from nodegate.source.json_documents import JsonSpan, item_spans
from nodegate.source.yaml_documents import Lined, YamlFailure, read_yaml

_HALF_CHARACTER = re.compile(r"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")


class Lines(Protocol):
    """Finds the lines of one document."""

    def line_of(self, path: Path) -> int:
        """Return the line in the file of the field at ``path``, or of the closest one around it that is there."""
        ...


class YamlLines:
    """The lines of a YAML document, which its values carry."""

    def __init__(self, value: Any, line: int) -> None:
        self._value = value
        self._line = line

    def line_of(self, path: Path) -> int:
        """Return the line of a field; see :class:`Lines`."""
        return _last(_lines_along(self._value, path), self._line)


class JsonLines:
    """The lines of a JSON document: found when they are asked for, by reading the text again, as YAML.

    Of a list only the item in question is read again: a list of 10,000 objects of which three are wrong costs three.
    """

    def __init__(self, text: str, line: int) -> None:
        self._text = text
        self._line = line
        self._items: tuple[JsonSpan, ...] | None = None
        self._trees: dict[JsonSpan, Any] = {}

    def line_of(self, path: Path) -> int:
        """Return the line of a field; see :class:`Lines`."""
        if not path:
            return self._line
        span, below = self._closest(path)
        if not below:
            return self._line - 1 + span.line
        if span not in self._trees:
            self._trees[span] = _read_as_yaml(self._text[span.start : span.end])
        return self._line - 1 + span.line - 1 + _last(_lines_along(self._trees[span], below), 1)

    def _closest(self, path: Path) -> tuple[JsonSpan, Path]:
        """Return the item of the list that ``path`` leads into and the rest of the path, or the whole document."""
        if self._items is None:
            self._items = item_spans(self._text)
        match path:
            case ("items", int(index), *below) if index < len(self._items):
                return self._items[index], tuple(below)
        return JsonSpan(1, 0, len(self._text)), path


def _read_as_yaml(text: str) -> Any:
    """Return the value of a JSON text with lines, as far as YAML can read it; None where it cannot.

    Halves of characters that JSON writes as two escapes are replaced: YAML has no such escapes.
    """
    try:
        return next((found.value for found in read_yaml(_HALF_CHARACTER.sub(r"\\ufffd", text))), None)
    except (YamlFailure, yaml.YAMLError):
        return None


def _lines_along(value: Any, path: Path) -> Iterator[int]:
    for step in path:
        line = value.line_of(step) if isinstance(value, Lined) else None
        if line is None:
            return
        yield line
        value = value.child(step)


def _last(lines: Iterator[int], default: int) -> int:
    for line in lines:
        default = line
    return default
