"""nodegate from its engine on, with objects of ours in place of a source: ``python -m bench.ingress.server MODE``.

What is prepared is a file with one JSON object: ``{"all": SIZE}`` for the first listing, else
``{"kind": "endpoints", "number": 7, "generation": 1}`` for one change. Objects are decoded when they are prepared.
"""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import sys
from asyncio import Queue, TaskGroup
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import structlog

from bench.control import obey
from bench.ingress import world
from nodegate.app.translation import new_translation
from nodegate.engine import Engine
from nodegate.engine.holdoff import QUIET_SECONDS, HoldOff
from nodegate.engine.own_certificate import own_certificate
from nodegate.model.changes import Batch, Upsert
from nodegate.model.objects import Object
from nodegate.ports import Claims
from nodegate.server import Clients, XdsServer
from nodegate.settings import TranslationSettings
from nodegate.snapshot.publisher import Publisher

_KINDS: dict[str, Callable[[int, int], Object]] = {"endpoints": world.endpoints, "ingress": world.ingress}


class Fed:
    """A source whose batches are handed in."""

    def __init__(self) -> None:
        self._batches: Queue[Batch] = Queue()
        self._prepared = Batch()

    def prepare(self, path: Path) -> None:
        """Read what is to change."""
        asked = json.loads(path.read_text())
        if "all" in asked:
            self._prepared = Batch(tuple(world.objects(asked["all"])))
        else:
            self._prepared = Batch((Upsert(_KINDS[asked["kind"]](asked["number"], asked["generation"])),))

    def apply(self) -> None:
        """Let it happen."""
        self._batches.put_nowait(self._prepared)
        self._prepared = Batch()

    async def batches(self) -> AsyncIterator[Batch]:
        """Yield what is handed in."""
        while True:
            yield await self._batches.get()


async def _main(mode: str, quiet: float) -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    gc.set_threshold(10_000_000)  # this, and the freezing, is what `nodegate serve` does (nodegate.app)
    source, publisher, clients = Fed(), Publisher(), Clients()
    translation = new_translation(TranslationSettings(listener_mode=mode), own_certificate(None))
    engine = Engine(translation, Claims(), publisher, clients=clients, hold_off=HoldOff(quiet))
    server = XdsServer(publisher, clients, address="127.0.0.1:0")
    async with server.serving(), TaskGroup() as tasks:
        running = [tasks.create_task(engine.run(source.batches())), tasks.create_task(_freeze(engine))]
        await obey(f"127.0.0.1:{server.port}", source)
        for task in running:
            task.cancel()


async def _freeze(engine: Engine) -> None:
    await engine.until(lambda state: state.synced)
    gc.freeze()
    gc.set_threshold(50_000)


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else QUIET_SECONDS))
