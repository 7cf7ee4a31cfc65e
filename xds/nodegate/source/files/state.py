"""All manifests of a folder together: which objects exist, and what changes when files change. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from nodegate.model.changes import Delete, ObjectChange, Upsert
from nodegate.model.objects import Object
from nodegate.model.problem import Problem
from nodegate.model.refs import Kind, Ref
from nodegate.source import codes
from nodegate.source.files.manifest import Manifest, Unreadable, emptied_manifest, read_manifest

Content = bytes | Unreadable | None
"""What a file holds now; None when it is gone."""


@dataclass(frozen=True, slots=True)
class ManifestFile:
    """One file: what it says, and ``kept``, the last good versions that stand in for what is broken in it."""

    digest: bytes
    manifest: Manifest
    kept: Mapping[Ref, Object] = field(default_factory=dict)

    @property
    def objects(self) -> Mapping[Ref, Object]:
        """The objects this file stands for."""
        return {**self.kept, **self.manifest.objects} if self.kept else self.manifest.objects

    @property
    def problems(self) -> Iterator[Problem]:
        """What is wrong with the file, and whether something stands in for it."""
        for problem in self.manifest.problems:
            yield replace(problem, message=f"{problem.message} {self._instead(problem)}".rstrip())

    def _instead(self, problem: Problem) -> str:
        if problem.ref in self.kept:
            return "The last good version of the object stays in use."
        if self.kept and self.manifest.failed:
            return "The last good version of the file stays in use."
        if self.kept and self.manifest.incomplete and problem.ref.kind is Kind.FILE:
            return "What was in the file before stays in use."
        return ""


@dataclass(frozen=True, slots=True)
class FolderState:
    """The manifests of a folder at one moment. ``folder`` is its path as locations show it.

    ``objects`` holds every object once: of several files that write it, the first by path counts.
    """

    folder: str = ""
    files: Mapping[str, ManifestFile] = field(default_factory=dict)
    objects: Mapping[Ref, Object] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()

    @property
    def origins(self) -> Mapping[Ref, str]:
        """In which file each object is, of several the one that counts."""
        return {ref: path for path, file in reversed(list(self.files.items())) for ref in file.objects}

    def apply(self, contents: Mapping[str, Content]) -> FolderState:
        """Return the state after the files in ``contents`` (path below the folder -> content) changed.

        What does not decode keeps its last good version: every object of a file that is not readable or suddenly
        empty, else the object alone. The last good version is looked up by file and by object, so a file may be
        renamed or an object moved to another file while it is broken.
        """
        files = {path: file for path, file in self.files.items() if contents.get(path, b"") is not None}
        gone = {file.digest: file for path, file in self.files.items() if path not in files}
        for path, content in contents.items():
            if content is not None:
                files[path] = self._read(path, content, gone)
        if files.keys() == self.files.keys() and all(
            files[path] is self.files[path] for path in contents if path in files
        ):
            return self
        return self._merged(dict(sorted(files.items())))

    def restored(self, kept: Mapping[str, Mapping[Ref, Object]]) -> FolderState:
        """Return a state that remembers objects (path -> objects) of an earlier run, and has no problems."""
        files = {path: ManifestFile(b"", Manifest(failed=True), objects) for path, objects in kept.items()}
        return self._merged(dict(sorted(files.items())))

    def _read(self, path: str, content: bytes | Unreadable, gone: Mapping[bytes, ManifestFile]) -> ManifestFile:
        """Read a file that is there; one of the same content that goes away in the same moment was renamed to it."""
        digest = _digest(content)
        before = self.files.get(path)
        if before is not None and before.digest == digest:
            return before
        before = before or gone.get(digest)
        known = before.objects if before else {}
        if known and isinstance(content, bytes) and not content.strip():
            manifest = emptied_manifest(path, self._shown(path))
        else:
            manifest = read_manifest(path, content, self._shown(path))
        return ManifestFile(digest, manifest, self._kept(manifest, known))

    def _kept(self, manifest: Manifest, before: Mapping[Ref, Object]) -> dict[Ref, Object]:
        if manifest.incomplete:
            return {ref: known for ref, known in before.items() if ref not in manifest.objects}
        good = {ref: before.get(ref) or self.objects.get(ref) for ref in sorted(manifest.broken)}
        return {ref: known for ref, known in good.items() if known is not None}

    def _shown(self, path: str) -> str:
        return f"{self.folder.rstrip('/')}/{path}" if self.folder else path

    def _merged(self, files: Mapping[str, ManifestFile]) -> FolderState:
        owners: dict[Ref, str] = {}
        objects: dict[Ref, Object] = {}
        problems: list[Problem] = []
        for path, file in files.items():
            problems.extend(file.problems)
            for ref, found in file.objects.items():
                if ref in owners:
                    problems.append(self._duplicate(ref, path, file, owners[ref], files))
                else:
                    owners[ref], objects[ref] = path, found
        return replace(self, files=files, objects=objects, problems=tuple(problems))

    def _duplicate(
        self, ref: Ref, path: str, file: ManifestFile, owner: str, files: Mapping[str, ManifestFile]
    ) -> Problem:
        counts = f"{self._shown(owner)}:{files[owner].manifest.lines.get(ref, 1)}"
        message = f"The object is also written in {counts}, which comes first by path and counts; this one is ignored."
        problem = codes.DUPLICATE_OBJECT.found(ref, "", message)
        return replace(problem, location=f"{self._shown(path)}:{file.manifest.lines.get(ref, 1)}")


def changes_between(old: FolderState, new: FolderState) -> tuple[ObjectChange, ...]:
    """Return what turns the objects of ``old`` into those of ``new``: upserts first, then deletes, each sorted."""
    changed = [ref for ref, found in new.objects.items() if not _same(old.objects.get(ref), found)]
    gone = old.objects.keys() - new.objects.keys()
    return (*(Upsert(new.objects[ref]) for ref in sorted(changed)), *(Delete(ref) for ref in sorted(gone)))


def _same(old: Object | None, new: Object) -> bool:
    return old is new or old == new  # objects of files that did not change are the very same


def _digest(content: bytes | Unreadable) -> bytes:
    """Return a hash of what was read, or of why it was not; the two never meet."""
    if isinstance(content, Unreadable):
        return f"{content.code.code}: {content.message}".encode()
    return hashlib.sha256(content).digest()
