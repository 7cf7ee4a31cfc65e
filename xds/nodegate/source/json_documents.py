"""JSON text -> values: one, or several in a row."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple, NoReturn

_SPACE = re.compile(r"[ \t\r\n]*")


class JsonSyntax(Exception):
    """The text is not JSON; ``line`` says where. Never carries a part of the text."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.message = message
        self.line = line


class RepeatedKey(Exception):
    """The text is JSON, but an object in it has the same key twice. Where, only another reading can tell."""


class JsonValue(NamedTuple):
    """One value, and where in the text it is: the first line, the first character and the one after the last."""

    value: Any
    line: int
    start: int
    end: int


class JsonSpan(NamedTuple):
    """A part of a text: its line (1 is the first), its first character and the one after its last."""

    line: int
    start: int
    end: int


def item_spans(text: str) -> tuple[JsonSpan, ...]:
    """Return where the members of the ``items`` list of a valid JSON object are; none when it has no such list."""
    spans = dict(_members(text)) if text.startswith("{") else {}
    if "items" not in spans:
        return ()
    start, end = spans["items"]
    return tuple(_lined(text, _elements(text, start, end)))


def read_json(text: str) -> tuple[JsonValue, ...]:
    """Return the values in ``text``; keys with a ``null`` value are left out.

    Raises:
        JsonSyntax: The text is not JSON, or nests too deep to be read.
        RepeatedKey: An object has the same key twice.
    """
    try:
        return tuple(_values(text))
    except json.JSONDecodeError as error:
        raise JsonSyntax(f"{error.msg} at column {error.colno}", error.lineno) from None
    except (ValueError, RecursionError) as error:
        raise JsonSyntax(str(error), 1) from None


def _values(text: str) -> Iterator[JsonValue]:
    start = _skip_space(text, 0)
    while start < len(text):
        value, end = _DECODER.raw_decode(text, start)
        if "\\u" in text:  # an escape may be half of a character, which nothing after this could write again
            json.dumps(value, ensure_ascii=False).encode()
        yield JsonValue(value, text.count("\n", 0, start) + 1, start, end)
        start = _skip_space(text, end)


def _skip_space(text: str, start: int) -> int:
    found = _SPACE.match(text, start)
    return found.end() if found else start


def _members(text: str) -> Iterator[tuple[str, tuple[int, int]]]:
    """Yield the keys of an object, and where their values are."""
    position = _skip_space(text, 1)
    while text[position] != "}":
        key, position = _DECODER.raw_decode(text, position)
        start = _skip_space(text, _skip_space(text, position) + 1)
        _, end = _DECODER.raw_decode(text, start)
        yield key, (start, end)
        position = _skip_comma(text, end)


def _elements(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield where the elements of the list from ``start`` to ``end`` are; nothing when it is no list."""
    position = _skip_space(text, start + 1)
    while text[start] == "[" and position < end - 1:
        _, after = _DECODER.raw_decode(text, position)
        yield position, after
        position = _skip_comma(text, after)


def _lined(text: str, spans: Iterator[tuple[int, int]]) -> Iterator[JsonSpan]:
    line, counted = 1, 0
    for start, end in spans:
        line += text.count("\n", counted, start)
        counted = start
        yield JsonSpan(line, start, end)


def _skip_comma(text: str, start: int) -> int:
    position = _skip_space(text, start)
    return _skip_space(text, position + 1) if text[position] == "," else position


def _mapping(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({key for key, _ in pairs}) < len(pairs):
        raise RepeatedKey
    return {key: value for key, value in pairs if value is not None}


def _not_json(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a JSON number")


_DECODER = json.JSONDecoder(object_pairs_hook=_mapping, parse_constant=_not_json)
