"""nodegate's own server with synthetic resources in place of translation: ``python -m bench.nodegate_server FILE``."""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
from collections.abc import Iterable
from pathlib import Path

import structlog

from bench.control import obey
from bench.resources import Body, read
from nodegate.server import Clients, XdsServer
from nodegate.snapshot.publisher import Publisher
from nodegate.snapshot.resource import Key, Resource
from nodegate.snapshot.target import Target
from nodegate.snapshot.type_urls import CLUSTER, ENDPOINT


class Nodegate:
    """A publisher, and the changes that are put into its target as translation would."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher
        self._prepared: list[Body] = []

    def prepare(self, path: Path) -> None:
        """Read the changed messages; framing and hashing them is part of the change."""
        self._prepared = list(read(path))

    def apply(self) -> None:
        """Publish the target with the prepared change in it."""
        changed = changes(self._prepared)
        self._publisher.publish((self._publisher.target or Target()).apply(changed))


def changes(bodies: Iterable[Body]) -> dict[Key, Resource]:
    """Return what a target is to be changed by."""
    resources = (Resource(body.type_url, body.name, body.body, refs=_refs(body)) for body in bodies)
    return {resource.key: resource for resource in resources}


def _refs(body: Body) -> tuple[Key, ...]:
    return ((ENDPOINT, body.name),) if body.type_url == CLUSTER else ()


async def _main(path: Path) -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    gc.set_threshold(50_000)  # this, and the freezing, is what `nodegate serve` does (nodegate.app)
    publisher = Publisher()
    publisher.publish(Target().apply(changes(read(path))))
    gc.collect()
    gc.freeze()
    server = XdsServer(publisher, Clients(), address="127.0.0.1:0")
    async with server.serving():
        await obey(f"127.0.0.1:{server.port}", Nodegate(publisher))


if __name__ == "__main__":
    asyncio.run(_main(Path(sys.argv[1])))
