"""JSON text -> values: one, or several in a row."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple, NoReturn

_SPACE = re.compile(r"[ \t\r\n]*")


class JsonSyntax(Exception):
    """The text is not JSON as it should be; ``line`` says where. Never carries a part of the text."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.message = message
        self.line = line


class JsonValue(NamedTuple):
    """One value, and where in the text it is: the first line, the first character and the one after the last."""

    value: Any
    line: int
    start: int
    end: int


def read_json(text: str) -> tuple[JsonValue, ...]:
    """Return the values in ``text``; keys with a ``null`` value are left out.

    Raises:
        JsonSyntax: The text is not JSON, repeats a key in one object, or nests too deep to be read.
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


def _mapping(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({key for key, _ in pairs}) < len(pairs):
        raise ValueError("an object has the same key twice")
    return {key: value for key, value in pairs if value is not None}


def _not_json(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a JSON number")


_DECODER = json.JSONDecoder(object_pairs_hook=_mapping, parse_constant=_not_json)
