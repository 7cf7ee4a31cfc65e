"""The door to the file system: which manifests there are below a folder, and their bytes."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from nodegate.source import codes
from nodegate.source.files.manifest import Unreadable

SUFFIXES = (".yaml", ".yml", ".json")
LARGEST_FILE = 16 * 1024 * 1024  # bytes; etcd refuses objects over 1.5 MiB, so this is a file of many

_NOT_MANIFESTS = frozenset({"kustomization.yaml", "kustomization.yml"})  # instructions for kubectl -k, often kindless


class Stamp(NamedTuple):
    """What tells one content of a file from another without reading it. Times are in nanoseconds.

    ``changed_ns`` (ctime) sees a write that puts the old mtime back, and a rename over the file.
    """

    device: int
    inode: int
    size: int
    modified_ns: int
    changed_ns: int


@dataclass(slots=True)
class Scan:
    """What is below a folder: manifests (path below it -> stamp), and what could not be looked at."""

    files: dict[str, Stamp] = field(default_factory=dict)
    unreadable: dict[str, Unreadable] = field(default_factory=dict)

    def covers(self, path: str) -> bool:
        """Return whether a file that is not in ``files`` is gone, rather than in a folder that cannot be read."""
        return not any(path == hidden or path.startswith(f"{hidden}/") for hidden in self.unreadable)


def scan(folder: Path, leave_out: tuple[Path, ...] = ()) -> Scan:
    """Return the manifests below ``folder``, recursively, through symbolic links, but not below ``leave_out``.

    Left out are names that start with a dot (hidden files, vim's swap files, and ``..data`` with what it points to in
    a mounted ConfigMap, whose files are visible as links beside it) and every other suffix (``foo.yaml~``,
    ``#foo.yaml#``, ``4913``, ``foo.yaml.tmp``). A file that is reached by two paths counts by the first.

    Raises:
        OSError: The folder itself cannot be read.
    """
    found = Scan()
    closed = tuple(_identity(path) for path in (folder, *leave_out) if path.exists())
    _scan_names(found, folder, "", closed)
    found.files = dict(_once_each(found.files))
    return found


def read_file(path: Path) -> tuple[Stamp | None, bytes | Unreadable | None]:
    """Return the bytes of a file and the stamp they were read under, or why not; None twice when it is not there."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if status.st_size > LARGEST_FILE:
                return _stamp(status), _too_large(status.st_size)
            content = file.read(LARGEST_FILE + 1)
    except FileNotFoundError:
        return None, None
    except OSError as error:
        return None, _unreadable(error)
    return _stamp(status), content if len(content) <= LARGEST_FILE else _too_large(len(content))


def _scan_names(found: Scan, folder: Path, prefix: str, closed: tuple[tuple[int, int], ...]) -> None:
    """Look at what is in one folder; ``closed`` are the folders not to go into, among them those around it."""
    with os.scandir(folder) as entries:
        names = sorted(entry.name for entry in entries if not entry.name.startswith("."))
    for name in names:
        path = f"{prefix}{name}"
        try:
            status = (folder / name).stat()
            if stat.S_ISDIR(status.st_mode):
                _scan_below(found, folder / name, path, closed)
            elif not name.isprintable() and name.endswith(SUFFIXES):
                _note_unprintable(found, path)
            elif _is_manifest(name, status):
                found.files[path] = _stamp(status)
        except FileNotFoundError:
            _note_dangling(found, folder / name, path)
        except OSError as error:
            found.unreadable[path] = _unreadable(error)


def _scan_below(found: Scan, folder: Path, path: str, closed: tuple[tuple[int, int], ...]) -> None:
    identity = _identity(folder)
    if identity in closed:
        return
    if folder.name.isprintable():
        _scan_names(found, folder, f"{path}/", (*closed, identity))
    else:
        _note_unprintable(found, path)


def _identity(folder: Path) -> tuple[int, int]:
    status = folder.stat()
    return status.st_dev, status.st_ino


def _note_unprintable(found: Scan, path: str) -> None:
    """Refuse a name that no log line and no JSON could show: bytes that are not UTF-8, or control characters."""
    shown = "".join(character if character.isprintable() else "?" for character in path)
    message = "Its name has characters that cannot be shown. Rename it."
    found.unreadable[shown] = Unreadable(codes.FILE_UNREADABLE, message)


def _is_manifest(name: str, status: os.stat_result) -> bool:
    return name.endswith(SUFFIXES) and name not in _NOT_MANIFESTS and stat.S_ISREG(status.st_mode)


def _note_dangling(found: Scan, full: Path, path: str) -> None:
    """Report a link to nothing, and keep what was read through it; a file that is simply gone is gone."""
    if path.endswith(SUFFIXES) and full.is_symlink():
        found.unreadable[path] = Unreadable(codes.FILE_UNREADABLE, "The file is a symbolic link to nothing.")


def _once_each(files: dict[str, Stamp]) -> Iterator[tuple[str, Stamp]]:
    seen: set[tuple[int, int]] = set()
    for path, stamp in sorted(files.items()):
        if (stamp.device, stamp.inode) not in seen:
            seen.add((stamp.device, stamp.inode))
            yield path, stamp


def _stamp(status: os.stat_result) -> Stamp:
    return Stamp(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def _unreadable(error: OSError) -> Unreadable:
    return Unreadable(codes.FILE_UNREADABLE, f"It cannot be read: {error.strerror or error}.")


def _too_large(size: int) -> Unreadable:
    limit = LARGEST_FILE // (1024 * 1024)
    return Unreadable(codes.FILE_TOO_LARGE, f"The file has {size:,} bytes; the limit is {limit} MiB.")
