"""The last good objects of every manifest, kept in the state folder for the next start.

``STATE_DIR/last-good/`` holds one ``v1`` List per manifest, named by a hash of the manifest's path, which is in an
annotation; the folder is readable by its owner alone. Secrets are left out unless they are asked for: a private key
is not written where its owner did not put it.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from nodegate.model.objects import EndpointSlice, Object
from nodegate.model.refs import Kind, Ref
from nodegate.source.decode import decode
from nodegate.source.files.state import ManifestFile
from nodegate.source.kinds import SERVED

_PATH = "nodegate.dev/source-path"
_FOLDER = "nodegate.dev/source-folder"


class LastGood:
    """What a folder's manifests last said, on disk. Does blocking I/O."""

    def __init__(self, state_dir: Path, folder: Path, *, keep_secrets: bool = False) -> None:
        self.folder = state_dir / "last-good"
        self._source = str(folder.absolute())
        self._keep_secrets = keep_secrets
        self._files: dict[str, ManifestFile] = {}
        self._written: dict[str, bytes] = {}

    def load(self) -> dict[str, dict[Ref, Object]]:
        """Return the objects of an earlier run by path; what is not readable or of another folder is passed over."""
        try:
            paths = sorted(self.folder.glob("*.json"))
        except OSError:
            return {}
        return dict(found for path in paths if (found := self._load_one(path)) is not None)

    def store(self, files: Mapping[str, ManifestFile]) -> None:
        """Write what changed since the last call, and forget manifests that are gone.

        Raises:
            OSError: The state folder cannot be written. The next call tries again.
        """
        changed = {path: file for path, file in files.items() if self._files.get(path) is not file}
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path, file in changed.items():
            self._store_one(path, file.objects)
            self._files[path] = file
        for path in [path for path in self._written if path not in files]:
            self._forget(path)

    def _load_one(self, written: Path) -> tuple[str, dict[Ref, Object]] | None:
        try:
            raw = written.read_bytes()
            content = msgspec.json.decode(raw)
            annotations = content["metadata"]["annotations"]
            path, folder = str(annotations[_PATH]), annotations[_FOLDER]
        except (OSError, ValueError, KeyError, TypeError):  # a half-written file, or somebody else's
            return None
        if folder != self._source:
            return None
        self._written[path] = hashlib.sha256(raw).digest()
        found = (decoded.object for decoded in decode(content) if decoded.object is not None)
        return path, {one.ref: one for one in found if self._may_keep(one.ref)}

    def _store_one(self, path: str, objects: Mapping[Ref, Object]) -> None:
        kept = {ref: one for ref, one in objects.items() if self._may_keep(ref)}
        if not kept:
            self._forget(path)
            return
        raw = msgspec.json.format(msgspec.json.encode(self._list(path, kept)), indent=1)
        digest = hashlib.sha256(raw).digest()
        if self._written.get(path) != digest:
            _write(self.folder / _name(path), raw)
            self._written[path] = digest

    def _list(self, path: str, objects: Mapping[Ref, Object]) -> dict[str, Any]:
        annotations = {_PATH: path, _FOLDER: self._source}
        items = list(_items(objects))
        return {"apiVersion": "v1", "kind": "List", "metadata": {"annotations": annotations}, "items": items}

    def _forget(self, path: str) -> None:
        if path in self._written:
            (self.folder / _name(path)).unlink(missing_ok=True)
            del self._written[path]
        self._files.pop(path, None)

    def _may_keep(self, ref: Ref) -> bool:
        return self._keep_secrets or ref.kind is not Kind.SECRET


def _items(objects: Mapping[Ref, Object]) -> Iterator[dict[str, Any]]:
    for ref in sorted(objects):
        item = {"apiVersion": SERVED[ref.kind.value].api_version, "kind": ref.kind.value}
        item |= msgspec.to_builtins(objects[ref])
        if isinstance(objects[ref], EndpointSlice):
            item.setdefault("addressType", "IPv4")  # required, and left out as the model's default
        yield item


def _name(path: str) -> str:
    return hashlib.sha256(path.encode(errors="surrogateescape")).hexdigest()[:40] + ".json"


def _write(target: Path, raw: bytes) -> None:
    """Replace a file in one step. It is not synced: one lost in a power cut costs a fallback, not an object."""
    new = target.with_suffix(".new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(raw)
    new.replace(target)
