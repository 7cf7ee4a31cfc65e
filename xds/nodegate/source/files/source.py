"""The folder as a source: its listing first, then every change."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import structlog

from nodegate.errors import SourceError
from nodegate.model.changes import Batch
from nodegate.model.problem import Problem
from nodegate.source import codes
from nodegate.source.files.last_good import LastGood
from nodegate.source.files.manifest import file_ref
from nodegate.source.files.reader import FolderReader
from nodegate.source.files.state import FolderState, changes_between
from nodegate.source.files.watch import POLL, FolderWatch
from nodegate.source.problem_log import log_difference

_SCANS_APART = 50  # looking without cause takes at most 2 % of a processor: 5,000 files take 0.06 s
_LONGEST_POLL = 60.0  # seconds


class FolderSource:
    """Every ``*.yaml``, ``*.yml`` and ``*.json`` below ``folder``, followed live. A :class:`Source`.

    What a batch of edits changes is one Batch; equal content, or a renamed file, is none. What does not decode keeps
    its last good version, with ``state_dir`` also across a restart (Secrets only with ``keep_secrets``). Without
    ``state_dir`` nothing is written anywhere. Changes are noticed through inotify, and where that does not reach
    (network mounts, targets of links outside the folder) by looking every 2 seconds, less often at folders of many
    thousand files.
    """

    def __init__(self, folder: Path | str, state_dir: Path | str | None = None, *, keep_secrets: bool = False) -> None:
        self._folder = Path(folder)
        self._state_dir = Path(state_dir) if state_dir is not None else None
        self._keep_secrets = keep_secrets

    async def batches(self) -> AsyncIterator[Batch]:
        """Yield one batch with everything, then one per change; see :class:`nodegate.source.source.Source`.

        Raises:
            SourceError: The folder cannot be read at the start, and nothing of it is known from an earlier run.
        """
        watch = FolderWatch(self._folder)
        try:
            await watch.start()
            follower = await watch.run(self._follower)
            while True:
                batch, seconds = await watch.run(follower.look)
                if batch is not None:
                    yield batch
                await watch.wait(seconds)
        finally:
            watch.close()

    def _follower(self) -> _Follower:
        if self._state_dir is None:
            return _Follower(FolderReader(self._folder), None)
        last_good = LastGood(self._state_dir, self._folder, keep_secrets=self._keep_secrets)
        restored = FolderState().restored(last_good.load())
        return _Follower(FolderReader(self._folder, restored, (self._state_dir, last_good.folder)), last_good)


class _Follower:
    """Looks at a folder and tells what is new since it looked before. Does blocking I/O."""

    def __init__(self, reader: FolderReader, last_good: LastGood | None) -> None:
        self._reader = reader
        self._last_good = last_good
        self._delivered: FolderState | None = None
        self._problems: tuple[Problem, ...] = ()
        self._state_problem: tuple[Problem, ...] = ()
        self._log = structlog.get_logger(__name__)

    def look(self) -> tuple[Batch | None, float]:
        """Return what is new, None for nothing, and in how many seconds to look again when nothing is reported."""
        again = self._reader.look()
        poll = min(_LONGEST_POLL, max(POLL, _SCANS_APART * self._reader.scan_seconds))
        return self._batch(), poll if again is None else again

    def _batch(self) -> Batch | None:
        before, state = self._delivered, self._reader.state
        if before is None and self._reader.missing is not None and not state.objects:
            raise SourceError(f"{self._reader.missing.message} {self._reader.missing.remedy}")
        if state is not before:
            self._keep(state)
        changes = changes_between(before or FolderState(), state)
        found = (*self._reader.problems, *self._state_problem)
        if before is not None and not changes and found == self._problems:
            return None
        log_difference(self._log, self._problems, found)
        self._delivered, self._problems = state, found
        return Batch(changes, True, found)

    def _keep(self, state: FolderState) -> None:
        self._state_problem = ()
        if self._last_good is None:
            return
        try:
            self._last_good.store(state.files)
        except OSError as error:
            message = f"The last good manifests cannot be written: {error.strerror or error}."
            self._state_problem = (codes.STATE_NOT_WRITTEN.found(file_ref(str(self._last_good.folder)), "", message),)
