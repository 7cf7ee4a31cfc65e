"""Reading a folder again and again: only what changed is read, and nothing is taken away in haste."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from nodegate.errors import SourceError
from nodegate.model.objects import Object
from nodegate.model.problem import Problem
from nodegate.model.refs import Ref
from nodegate.source import codes
from nodegate.source.files.manifest import file_ref
from nodegate.source.files.scan import Scan, Stamp, read_file, scan
from nodegate.source.files.state import Content, FolderState

DELETE_GRACE = 0.25  # seconds; saving a file takes editors and git a few milliseconds between taking away and writing
LONGEST_HOLD = 1.0  # seconds
SETTLED = 0.03  # seconds without a write; a file that is younger may be half written
_RACY = 100_000_000  # nanoseconds; kernels stamp files in steps of up to 10 ms


@dataclass(frozen=True, slots=True)
class Listing:
    """Everything a folder says at one moment: the objects, sorted, what is wrong, and in which file each object is."""

    objects: tuple[Object, ...]
    problems: tuple[Problem, ...]
    origins: Mapping[Ref, str]


def read_folder(folder: Path) -> Listing:
    """Read a folder once, as ``lint`` and ``translate`` do.

    Raises:
        SourceError: The folder cannot be read.
    """
    reader = FolderReader(folder)
    reader.look()
    if reader.missing is not None:
        raise SourceError(f"{reader.missing.message} {reader.missing.remedy}")
    objects = reader.state.objects
    return Listing(tuple(objects[ref] for ref in sorted(objects)), reader.problems, reader.state.origins)


class FolderReader:
    """A folder as it is known so far. Does blocking I/O; not for use from several threads at once.

    A file is read again when its stamp differs, or was so fresh when it was read that a later write could have got
    the same one (as git does with its index). A change that takes objects away is believed when it is seen twice,
    ``DELETE_GRACE`` apart: many programs save by emptying or removing a file before they write it anew, and between
    the two nothing must be lost. A change of a file that is being written is not looked at before it is ``SETTLED``.
    The whole change waits, so that a batch stays one, at most ``LONGEST_HOLD``.

    ``state`` is all that is believed, ``missing`` says why the folder itself cannot be read, ``scan_seconds`` is what
    the last look cost in processor time apart from reading. ``clock`` gives seconds, ``file_clock`` nanoseconds of the
    clock files are stamped by.
    """

    def __init__(
        self,
        folder: Path,
        state: FolderState | None = None,
        leave_out: tuple[Path, ...] = (),
        clock: Callable[[], float] = time.monotonic,
        file_clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self.state = replace(state or FolderState(), folder=str(folder))
        self.missing: Problem | None = None
        self.scan_seconds = 0.0
        self._folder = folder
        self._leave_out = leave_out
        self._clock = clock
        self._file_clock = file_clock
        self._stamps: dict[str, Stamp] = {}
        self._pending: dict[str, Content] = {}
        self._missed_since: dict[Ref, float] = {}
        self._written_since: float | None = None
        self._listed = False

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What is wrong with the folder and with what is in it."""
        return (self.missing, *self.state.problems) if self.missing else self.state.problems

    def look(self) -> float | None:
        """Read what changed and take it into ``state``, unless it has to be seen again; return in how many seconds."""
        started = time.thread_time()
        try:
            found = scan(self._folder, self._leave_out)
        except OSError as error:
            self.missing = self._missing(error)
            return None
        self.scan_seconds, self.missing = time.thread_time() - started, None
        if self._being_written(found):
            return SETTLED
        self._collect(found)
        return self._settle()

    def _being_written(self, found: Scan) -> bool:
        """Return whether a file that changed is too young to be looked at, and this has not gone on for too long."""
        now = self._file_clock()
        young = any(
            0 <= now - stamp.changed_ns < SETTLED * 1e9 and self._stamps.get(path) != stamp
            for path, stamp in found.files.items()
        )
        if not young or not self._listed:
            self._written_since = None
            return False
        self._written_since = self._clock() if self._written_since is None else self._written_since
        return self._clock() - self._written_since < LONGEST_HOLD

    def _collect(self, found: Scan) -> None:
        for path in {*self.state.files, *self._pending} - found.files.keys():
            if found.covers(path):
                self._pending[path] = None
        for path, stamp in found.files.items():
            if self._stamps.get(path) != stamp:
                self._read(path)
        self._pending.update(found.unreadable)
        self._stamps = {path: stamp for path, stamp in self._stamps.items() if path in found.files}

    def _read(self, path: str) -> None:
        stamp, self._pending[path] = read_file(self._folder / path)
        self._stamps.pop(path, None)
        if stamp is not None and self._file_clock() - stamp.changed_ns > _RACY:
            self._stamps[path] = stamp

    def _settle(self) -> float | None:
        candidate = self.state.apply(self._pending)
        wait = self._wait_for_deletes(candidate) if self._listed else 0.0
        if wait > 0:
            return wait
        self.state, self._pending, self._missed_since, self._listed = candidate, {}, {}, True
        return None

    def _wait_for_deletes(self, candidate: FolderState) -> float:
        """Return how long to wait until what is missing may be believed to be gone, 0 when that is now."""
        missed = self.state.objects.keys() - candidate.objects.keys()
        now = self._clock()
        self._missed_since = {ref: self._missed_since.get(ref, now) for ref in missed}
        if not missed:
            return 0.0
        since = self._missed_since.values()
        return min(max(since) + DELETE_GRACE, min(since) + LONGEST_HOLD) - now

    def _missing(self, error: OSError) -> Problem:
        message = f"The folder of manifests {self._folder} cannot be read: {error.strerror or error}."
        return replace(codes.FOLDER_MISSING.found(file_ref(str(self._folder)), "", message), location=str(self._folder))
