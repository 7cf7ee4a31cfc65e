"""What a path of an Ingress matches, and which of two paths is tried first (ingress.md 7 to 14)."""

from __future__ import annotations

from enum import IntEnum
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import quote

from nodegate.translate.options import RegexMode
from nodegate.translate.regexes import regex_fault

EXACT, PREFIX, IMPLEMENTATION_SPECIFIC = "Exact", "Prefix", "ImplementationSpecific"
PATH_TYPES = (EXACT, PREFIX, IMPLEMENTATION_SPECIFIC)

_OF_PATTERNS = frozenset("*()[]{}|^\\")
"""Characters that paths of other controllers mean something by, and that paths of applications rarely hold."""

_DEAD_SEQUENCES = ("//", "/./", "/../", "%2f", "%2F")
_DEAD_SUFFIXES = ("/.", "/..")
_NOT_ABSOLUTE = "The path {!r} does not start with '/'."


class Match(IntEnum):
    """How a path is compared; the value is its rank among paths of one host (ingress.md 11)."""

    EXACT = 0
    REGEX = 1
    PREFIX = 2


class PathMatch(NamedTuple):
    """One comparison. A prefix has no slash at its end, but for ``/`` itself, which matches everything."""

    kind: Match
    path: str

    @property
    def order(self) -> tuple[int, int, str]:
        """The sort key: Envoy takes the first match, so what is more specific comes first."""
        return (self.kind, -len(self.path), self.path)

    def __str__(self) -> str:
        """Say it as people do."""
        return f"{self.kind.name.lower()} path {self.path}"


@lru_cache(maxsize=1024)  # few paths are on most Ingresses
def path_match(path_type: str, path: str, regex: RegexMode | None = None) -> PathMatch:
    """Return what a valid path matches.

    ``ImplementationSpecific`` is the same as ``Prefix``, unless the Ingress asks for regular expressions: those
    compare with the whole path, or with its beginning (ingress.md 10).
    """
    if regex is not None and path_type == IMPLEMENTATION_SPECIFIC and path:
        return PathMatch(Match.REGEX, _regex(path, regex))
    path = quote(path or "/", safe=_ASCII)
    if path_type == EXACT:
        return PathMatch(Match.EXACT, path)
    return PathMatch(Match.PREFIX, path.rstrip("/") or "/")


_ASCII = "".join(map(chr, range(0x21, 0x7F)))
"""Left as they are: only other characters are percent-encoded, as clients send them."""


def looks_like_pattern(path_type: str, path: str, regex: RegexMode | None = None) -> bool:
    """Say whether a path was likely meant as a pattern, and is none (ingress.md 10)."""
    if path_type == IMPLEMENTATION_SPECIFIC:
        return regex is None and not _OF_PATTERNS.isdisjoint(path)
    return path_type == PREFIX and path.endswith("/*")


@lru_cache(maxsize=1024)
def path_fault(path_type: str, path: str, regex: RegexMode | None = None) -> str:
    """Say why no request can match this path, as a sentence; empty when one can.

    The rules are those of the API server's validation, which a manifest in a folder never went through.
    """
    if regex is not None and path_type == IMPLEMENTATION_SPECIFIC and path:
        return regex_fault(_regex(path, regex)) if path.startswith("/") else _NOT_ABSOLUTE.format(path)
    if not path:
        return "" if path_type == IMPLEMENTATION_SPECIFIC else f"The path is empty, which pathType {path_type} forbids."
    if not path.startswith("/"):
        return _NOT_ABSOLUTE.format(path)
    if any(character in "?#" or character <= " " or character == "\x7f" for character in path):
        return f"The path {path!r} holds a character that no path of a request holds ('?', '#', blanks or controls)."
    dead = [part for part in _DEAD_SEQUENCES if part in path] + [s for s in _DEAD_SUFFIXES if path.endswith(s)]
    if dead and not (path_type == IMPLEMENTATION_SPECIFIC and dead == ["//"]):
        return f"The path {path!r} holds {dead[0]!r}, which is normalised away before paths are compared."
    return ""


def _regex(path: str, mode: RegexMode) -> str:
    return path if mode is RegexMode.FULL else f"(?:{path}).*"
