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


class FolderSource:
    """Every ``*.yaml``, ``*.yml`` and ``*.json`` below ``folder``, followed live. A :class:`Source`.

    What a batch of edits changes is one Batch; equal content, or a renamed file, is none. What does not decode keeps
    its last good version, with ``state_dir`` also across a restart (Secrets only with ``keep_secrets``). Without
    ``state_dir`` nothing is written anywhere. Changes are noticed through inotify, and by looking every 2 seconds
    where that does not reach: network mounts, targets of links outside the folder.
    """

    def __init__(self, folder: Path | str, state_dir: Path | str | None = None, *, keep_secrets: bool = False) -> None:
        self._folder = Path(folder)
        self._last_good = (
            LastGood(Path(state_dir), self._folder, keep_secrets=keep_secrets) if state_dir is not None else None
        )
        self._state_problem: Problem | None = None
        self._log = structlog.get_logger(__name__)

    async def batches(self) -> AsyncIterator[Batch]:
        """Yield one batch with everything, then one per change; see :class:`nodegate.source.source.Source`.

        Raises:
            SourceError: The folder cannot be read at the start, and nothing of it is known from an earlier run.
        """
        watch = FolderWatch(self._folder)
        try:
            await watch.start()
            reader = FolderReader(self._folder, await watch.run(self._restored))
            delivered: FolderState | None = None
            problems: tuple[Problem, ...] = ()
            while True:
                again = await watch.run(reader.look)
                if reader.state is not delivered:
                    await watch.run(lambda: self._keep(reader.state))
                found = (*reader.problems, *((self._state_problem,) if self._state_problem else ()))
                changes = changes_between(delivered or FolderState(), reader.state)
                if delivered is None:
                    self._fail_without_anything(reader)
                if delivered is None or changes or found != problems:
                    self._log_problems(problems, found)
                    yield Batch(changes, True, found)
                delivered, problems = reader.state, found
                await watch.wait(POLL if again is None else again)
        finally:
            watch.close()

    def _restored(self) -> FolderState:
        return FolderState().restored(self._last_good.load() if self._last_good is not None else {})

    def _fail_without_anything(self, reader: FolderReader) -> None:
        if reader.missing is not None and not reader.state.objects:
            raise SourceError(f"{reader.missing.message} {reader.missing.remedy}")

    def _keep(self, state: FolderState) -> None:
        if self._last_good is None:
            return
        try:
            self._last_good.store(state.files)
        except OSError as error:
            message = f"The last good manifests cannot be written: {error.strerror or error}."
            self._state_problem = codes.STATE_NOT_WRITTEN.found(file_ref("."), "", message)
        else:
            self._state_problem = None

    def _log_problems(self, before: tuple[Problem, ...], after: tuple[Problem, ...]) -> None:
        """Log every problem once, when it comes, and once when it is gone."""
        known, left = set(before), set(after)
        for problem in after:
            if problem not in known:
                level = self._log.error if problem.severity == "error" else self._log.warning
                level(str(problem), code=problem.code, object=str(problem.ref), location=problem.location)
        for problem in before:
            if problem not in left:
                self._log.info("Solved: " + str(problem), code=problem.code, object=str(problem.ref))
