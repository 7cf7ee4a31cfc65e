"""What a plain YAML scalar means: the rules ``kubectl`` reads manifests by.

These are YAML 1.1's without base-60 numbers and timestamps: ``yes`` and ``on`` are booleans, ``0755`` is octal,
``12:30`` and ``2024-01-01`` stay text (kubectl reads with a fork of go-yaml 2).
"""

from __future__ import annotations

import re

Scalar = str | int | float | bool | None

_WORDS: dict[str, Scalar] = {
    "": None,
    **dict.fromkeys(("~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON"), True),
    **dict.fromkeys(("false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF"), False),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), float("inf")),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), float("-inf")),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
}
_NUMBER_STARTS = frozenset("0123456789+-.")
_INT = re.compile(
    r"[-+]?(?:0b(?P<two>[01_]+)|0x(?P<sixteen>[0-9a-fA-F_]+)|0o?(?P<eight>[0-7_]+)|(?P<ten>[0-9][0-9_]*))\Z"
)
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z")
_BASES = {"two": 2, "eight": 8, "ten": 10, "sixteen": 16}
_LONGEST_INT = 64  # digits; more is no 64-bit number in any base, and Python refuses to read very long ones


def resolve(text: str) -> Scalar:
    """Return the value of a plain scalar; what is nothing else is text."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in _NUMBER_STARTS:
        return text
    return _number(text)


def _number(text: str) -> Scalar:
    found = _INT.match(text)
    if found and len(text) <= _LONGEST_INT and found.lastgroup and found[found.lastgroup].strip("_"):
        value = int(found[found.lastgroup].replace("_", ""), _BASES[found.lastgroup])
        return -value if text[0] == "-" else value
    return float(text) if _FLOAT.match(text) else text
