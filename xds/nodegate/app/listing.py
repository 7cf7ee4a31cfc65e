"""The first listing of a cluster, asked for before what is made of it is imported.

An API server takes a third of a second to list 5,000 Services with their slices and Ingresses, and importing gRPC, the
Envoy API and translation takes a quarter. So this module imports no more than it takes to ask.
"""

from __future__ import annotations

from asyncio import TaskGroup, to_thread
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from nodegate.app.errors import first_of
from nodegate.app.state_folder import sole_user
from nodegate.errors import UsageError
from nodegate.settings import KubernetesAccess, ServeSettings
from nodegate.source.kubernetes import Connection, Journal, KubernetesSource, connect


@dataclass(frozen=True, slots=True)
class Listing:
    """A cluster that is followed already; what it says is gathered until somebody asks ``source`` for it.

    ``journal`` is where that is kept, if it is.
    """

    connection: Connection
    source: KubernetesSource
    journal: Journal | None


@asynccontextmanager
async def listing(settings: ServeSettings) -> AsyncIterator[Listing | None]:
    """Follow the cluster for as long as the block lasts; None where a folder is the source."""
    if isinstance(settings.source, Path):
        yield None
        return
    _require_published(settings.source, settings)
    try:
        async with AsyncExitStack() as stack:
            yield await _begun(settings, settings.source, stack)
    except BaseExceptionGroup as errors:
        raise first_of(errors) from errors


async def _begun(settings: ServeSettings, access: KubernetesAccess, stack: AsyncExitStack) -> Listing:
    if settings.state_dir is not None:
        await stack.enter_async_context(sole_user(settings.state_dir))
    connection = await stack.enter_async_context(connect(access))
    journal = _journal(settings, connection.server)
    stored = await to_thread(journal.load) if journal else {}
    source = KubernetesSource(connection, access.namespaces, stored=stored)
    tasks = await stack.enter_async_context(TaskGroup())
    stack.callback(tasks.create_task(source.run(), name="informers").cancel)
    return Listing(connection, source, journal)


def _journal(settings: ServeSettings, server: str) -> Journal | None:
    if settings.state_dir is None:
        return None
    from nodegate.app.state_cluster import kept_cluster  # noqa: PLC0415  # it knows what a private key is: 60 ms

    return kept_cluster(settings, server)


def _require_published(access: KubernetesAccess, settings: ServeSettings) -> None:
    """The ports of shared listeners are read back from their Service, so that has to be watched."""
    chosen, namespace = settings.translation, settings.translation.publish_service[0]
    shared = chosen.listener_mode == "shared" and chosen.expose == "redirect"
    if shared and access.namespaces and namespace not in access.namespaces:
        raise UsageError(
            f"--publish-service {'/'.join(chosen.publish_service)} is in a namespace that is not watched. "
            f"Add --watch-namespace {namespace}, or name a Service in a namespace that is."
        )
