"""One manifest file: bytes -> the objects in it and what is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from nodegate.model.objects import Object
from nodegate.model.problem import Problem, ProblemCode
from nodegate.model.refs import Kind, Ref
from nodegate.source import codes
from nodegate.source.decode import Decoded, decode
from nodegate.source.documents import Document, Failure, read_documents


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Why the bytes of a file could not be had."""

    code: ProblemCode
    message: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What one file says.

    ``broken``: objects that are in the file but cannot be used. ``incomplete``: something in it, or all of it, could
    not be identified, so an object that is not in it any more may still be meant to exist. ``failed``: nothing of it
    could be read. ``lines``: where each object starts.
    """

    objects: Mapping[Ref, Object] = field(default_factory=dict)
    broken: frozenset[Ref] = frozenset()
    incomplete: bool = False
    failed: bool = False
    lines: Mapping[Ref, int] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()


def file_ref(path: str) -> Ref:
    """Return how a manifest file itself is named in problems."""
    return Ref(Kind.FILE, "", path)


def read_manifest(path: str, content: bytes | Unreadable, shown: str) -> Manifest:
    """Return what the file at ``path`` (below the folder) says; ``shown`` is its path in locations.

    Any bytes are accepted; nothing is raised.
    """
    if isinstance(content, Unreadable):
        return _failed(content.code.found(file_ref(path), "", content.message), shown)
    documents = read_documents(content, is_json=path.endswith(".json"))
    if isinstance(documents, Failure):
        return _failed(documents.code.found(file_ref(path), "", documents.message), f"{shown}:{documents.line}")
    collected = _Collected(path, shown)
    for document in documents:
        for decoded in decode(document.value, document.findings):
            collected.add(document, decoded)
    return collected.manifest()


def emptied_manifest(path: str, shown: str) -> Manifest:
    """Return what a file says that held objects and is empty now: nothing that can be relied on."""
    return _failed(codes.EMPTY_FILE.found(file_ref(path), "", "The file held objects and is empty now."), shown)


def _failed(problem: Problem, location: str) -> Manifest:
    return Manifest(incomplete=True, failed=True, problems=(replace(problem, location=location),))


class _Collected:
    """The objects of one file, as they come."""

    def __init__(self, path: str, shown: str) -> None:
        self._file = file_ref(path)
        self._shown = shown
        self._objects: dict[Ref, Object] = {}
        self._broken: set[Ref] = set()
        self._lines: dict[Ref, int] = {}
        self._problems: list[Problem] = []
        self._incomplete = False

    def add(self, document: Document, decoded: Decoded) -> None:
        """Take one object, or what is wrong with it."""
        line = document.lines.line_of(decoded.path)
        if decoded.ref is not None and decoded.ref in self._lines:
            self._twice(decoded.ref, line)
            return
        self._report(document, decoded)
        if decoded.ref is None:
            self._incomplete = True
            return
        self._lines[decoded.ref] = line
        if decoded.object is None:
            self._broken.add(decoded.ref)
        else:
            self._objects[decoded.ref] = decoded.object

    def manifest(self) -> Manifest:
        """Return everything taken so far."""
        return Manifest(
            self._objects, frozenset(self._broken), self._incomplete, False, self._lines, tuple(self._problems)
        )

    def _report(self, document: Document, decoded: Decoded) -> None:
        for finding in decoded.findings:
            line = document.lines.line_of((*decoded.path, *finding.path))
            self._problems.append(finding.problem(decoded.ref or self._file, f"{self._shown}:{line}"))

    def _twice(self, ref: Ref, line: int) -> None:
        message = f"The object is written twice in this file; the one on line {self._lines[ref]} counts."
        problem = codes.DUPLICATE_OBJECT.found(ref, "", message)
        self._problems.append(replace(problem, location=f"{self._shown}:{line}"))
