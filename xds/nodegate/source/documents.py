"""Bytes of a manifest -> its documents, as plain values that know on which line they were written.

YAML comes from libyaml's event stream, not from PyYAML's loaders: events cost a third of the time, nesting cannot
exhaust the stack, aliases can be counted before they are expanded, and repeated keys can be seen. JSON is read as
JSON, as it is no strict subset of what libyaml reads (surrogate pairs), and may hold several values in a row as
kubectl accepts. In both, a key whose value is ``null`` counts as absent, as everywhere in the Kubernetes API.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import yaml

from nodegate.model.problem import ProblemCode
from nodegate.source import codes
from nodegate.source.finding import Finding
from nodegate.source.json_documents import JsonSyntax, JsonValue, RepeatedKey, read_json
from nodegate.source.lines import JsonLines, Lines, YamlLines
from nodegate.source.yaml_documents import YamlFailure, read_yaml


@dataclass(frozen=True, slots=True)
class Document:
    """One document: its value, what is wrong with how it is written, and where its fields are."""

    value: Any
    lines: Lines
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a manifest has no documents at all, and on which line."""

    code: ProblemCode
    message: str
    line: int


def read_documents(content: bytes, *, is_json: bool = False) -> tuple[Document, ...] | Failure:
    """Return the documents of a manifest, empty ones left out, or why there are none.

    With ``is_json`` the text must be JSON; else it may be, as kubectl accepts JSON in any file. Any bytes are accepted;
    nothing is raised.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return _not_text(content, error)
    if not is_json and text.lstrip()[:1] != "{":
        return _yaml(text)
    try:
        return tuple(_json_document(text, found) for found in read_json(text) if found.value is not None)
    except RepeatedKey:
        return _yaml(text)  # which says where
    except JsonSyntax as error:
        found = Failure(codes.INVALID_SYNTAX, f"This is not valid JSON: {error.message}.", error.line)
        return found if is_json else _yaml(text)


def _not_text(content: bytes, error: UnicodeDecodeError) -> Failure:
    line = content.count(b"\n", 0, error.start) + 1
    return Failure(codes.INVALID_ENCODING, f"Byte {error.start} is not UTF-8 text.", line)


def _json_document(text: str, found: JsonValue) -> Document:
    return Document(found.value, JsonLines(text[found.start : found.end], found.line))


def _yaml(text: str) -> tuple[Document, ...] | Failure:
    try:
        return tuple(
            Document(found.value, YamlLines(found.value, found.line), tuple(found.findings))
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
    line = min(mark.line, max(0, len(text.splitlines()) - 1))  # libyaml says one more at the end of the text
    begun = f" that began on line {error.context_mark.line + 1}" if error.context and error.context_mark else ""
    context = f" {error.context}{begun}" if error.context else ""
    hint = _tab_hint(text, mark.line)
    message = f"This is not valid YAML at column {mark.column + 1}: {error.problem}{context}.{hint}"
    return Failure(codes.INVALID_SYNTAX, message, line + 1)


def _tab_hint(text: str, line: int) -> str:
    lines = text.splitlines()
    indent = lines[line][: -len(lines[line].lstrip()) or None] if line < len(lines) else ""
    return " YAML is indented with spaces, not with tabs." if "\t" in indent else ""
