"""Bytes of a manifest -> its documents, as plain values that know on which line they were written.

YAML comes from libyaml's event stream, not from PyYAML's loaders: events cost a third of the time, nesting cannot
exhaust the stack, aliases can be counted before they are expanded, and repeated keys can be seen. JSON is read as
JSON, as it is no strict subset of what libyaml reads (surrogate pairs), and may hold several values in a row as
kubectl accepts. In both, a key whose value is ``null`` counts as absent, as everywhere in the Kubernetes API.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from nodegate.model.problem import ProblemCode
from nodegate.source import codes
from nodegate.source.finding import Finding, Path
from nodegate.source.json_documents import JsonSyntax, JsonValue, read_json
from nodegate.source.yaml_documents import Lined, YamlFailure, read_yaml


@dataclass(frozen=True, slots=True)
class Document:
    """One document: its value, the line it starts on, and what is wrong with how it is written."""

    value: Any
    line: int
    findings: tuple[Finding, ...] = ()
    text: str = ""  # JSON only, whose lines are looked up when they are asked for

    def line_of(self, path: Path) -> int:
        """Return the line of the field at ``path``, or of the closest one around it that is there."""
        if not self.text:
            return _line_in(self.value, path, self.line)
        return self.line - 1 + _line_in(_lined_json(self.text), path, 1)


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a manifest has no documents at all, and on which line."""

    code: ProblemCode
    message: str
    line: int


def read_documents(content: bytes, *, is_json: bool = False) -> tuple[Document, ...] | Failure:
    """Return the documents of a manifest, empty ones left out, or why there are none.

    ``is_json`` only chooses whose error message counts when the text is neither; what starts with ``{`` is first tried
    as JSON in any case, as kubectl does. Any bytes are accepted; nothing is raised.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return _not_text(content, error)
    syntax = None
    if text.lstrip()[:1] == "{":
        try:
            return tuple(_json_document(text, found) for found in read_json(text) if found.value is not None)
        except JsonSyntax as error:
            syntax = error
    read = _yaml(text)
    if isinstance(read, Failure) and syntax is not None and is_json:
        return Failure(codes.INVALID_SYNTAX, f"This is not valid JSON: {syntax.message}.", syntax.line)
    return read


def _not_text(content: bytes, error: UnicodeDecodeError) -> Failure:
    line = content.count(b"\n", 0, error.start) + 1
    return Failure(codes.INVALID_ENCODING, f"Byte {error.start} is not UTF-8 text.", line)


def _json_document(text: str, found: JsonValue) -> Document:
    return Document(found.value, found.line, text=text[found.start : found.end])


def _yaml(text: str) -> tuple[Document, ...] | Failure:
    try:
        return tuple(
            Document(found.value, found.line, tuple(found.findings))
            for found in read_yaml(text)
            if found.value is not None or found.findings
        )
    except YamlFailure as failure:
        return Failure(failure.code, failure.message, failure.line)
    except yaml.YAMLError as error:
        return _syntax_failure(text, error)


def _syntax_failure(text: str, error: yaml.YAMLError) -> Failure:
    """Say what libyaml says, and the line, but nothing of the text itself: it may be a private key."""
    if isinstance(error, yaml.reader.ReaderError):
        line = text.encode()[: error.position].count(b"\n") + 1
        return Failure(codes.INVALID_SYNTAX, f"This is not valid YAML: {error.reason}.", line)
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return Failure(codes.INVALID_SYNTAX, "This is not valid YAML.", 1)
    mark = error.problem_mark
    context = f" {error.context}" if error.context else ""
    hint = _tab_hint(text, mark.line)
    message = f"This is not valid YAML at column {mark.column + 1}: {error.problem}{context}.{hint}"
    return Failure(codes.INVALID_SYNTAX, message, mark.line + 1)


def _tab_hint(text: str, line: int) -> str:
    lines = text.splitlines()
    indent = lines[line][: -len(lines[line].lstrip()) or None] if line < len(lines) else ""
    return " YAML is indented with spaces, not with tabs." if "\t" in indent else ""


def _lined_json(text: str) -> Any:
    """Return the value of a JSON text with lines, as far as YAML can read it; None where it cannot."""
    try:
        return next((found.value for found in read_yaml(text)), None)
    except (YamlFailure, yaml.YAMLError):
        return None


def _line_in(value: Any, path: Path, line: int) -> int:
    for step in _steps(value, path):
        line = step
    return line


def _steps(value: Any, path: Path) -> Iterator[int]:
    for step in path:
        if not isinstance(value, Lined):
            return
        line = value.line_of(step)
        if line is None:
            return
        yield line
        value = value.child(step)
