"""Regular expressions: looked at as Envoy will, before it does."""

from __future__ import annotations

import re

import re2

LARGEST_PROGRAM = 100
"""How many steps an expression may compile to: Envoy's own limit (runtime key ``re2.max_program_size.error_level``)."""

_LONGEST_REGEX = 1024
_QUIET = re2.Options()
_QUIET.log_errors = False


def regex_fault(pattern: str) -> str:
    """Say why Envoy would refuse an expression, as a sentence; empty when it would not.

    One that it refuses takes all routes of a listener with it, so this is asked before.
    """
    if len(pattern) > _LONGEST_REGEX or not pattern.isascii():
        return f"The expression is longer than {_LONGEST_REGEX} characters, or not ASCII."
    try:
        size = re2.compile(pattern, _QUIET).programsize
    except re2.error as error:
        return f"{pattern!r} is no RE2 expression: {_text(error)}."
    if size > LARGEST_PROGRAM:
        return f"{pattern!r} compiles to {size} steps; Envoy takes at most {LARGEST_PROGRAM}."
    return ""


def _text(error: Exception) -> str:
    said = error.args[0] if error.args else ""
    return said.decode(errors="replace") if isinstance(said, bytes) else str(said)


def wildcard_regex(pattern: str) -> str:
    """Return the expression of a text in which ``*`` stands for anything."""
    return ".*".join(re.escape(part) for part in pattern.split("*"))
