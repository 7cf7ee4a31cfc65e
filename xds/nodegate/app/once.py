"""A folder of manifests, translated once."""

from __future__ import annotations

from asyncio import TaskGroup
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

from nodegate.app.errors import first_of
from nodegate.app.translation import new_translation
from nodegate.debug.state import State
from nodegate.engine import Engine
from nodegate.model.changes import Batch, Upsert
from nodegate.model.problem import Problem
from nodegate.model.refs import Ref
from nodegate.ports import Claims
from nodegate.settings import TranslationSettings
from nodegate.snapshot.publisher import Publisher
from nodegate.source.files import locate, read_folder

_DEFAULTS = TranslationSettings()


async def translate_once(folder: Path, settings: TranslationSettings = _DEFAULTS) -> State:
    """Translate a folder once, as ``serve`` would on its first start, and return the state it would have.

    Its problems say where in the folder they are. Raises SourceError when the folder cannot be read.
    """
    listing = read_folder(folder)

    async def batches() -> AsyncIterator[Batch]:
        yield Batch(tuple(map(Upsert, listing.objects)), synced=True, problems=listing.problems)

    engine = Engine(new_translation(settings), Claims(), Publisher())
    try:
        async with TaskGroup() as tasks:
            running = tasks.create_task(engine.run(batches()))
            state = await engine.until(lambda state: state.publications > 0)
            running.cancel()
    except BaseExceptionGroup as errors:
        raise first_of(errors) from errors
    located: dict[Ref, tuple[Problem, ...]] = {}
    for problem in locate(folder, listing.origins, (one for of_object in state.problems.values() for one in of_object)):
        located[problem.ref] = (*located.get(problem.ref, ()), problem)
    return replace(state, problems=located)
