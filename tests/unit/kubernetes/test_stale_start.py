"""A start without the API server: what an earlier run kept is told, and what is true comes after it as a difference."""

from __future__ import annotations

import asyncio
from asyncio import TaskGroup
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import pytest

from nodegate.model.changes import Batch, Upsert
from nodegate.model.objects import Metadata, Object, Service
from nodegate.model.refs import Kind, Ref
from nodegate.source.kubernetes.answers import Interrupted
from nodegate.source.kubernetes.source import STORED_AFTER_SECONDS, KubernetesSource
from tests.unit.kubernetes.script import Answer, Pause

pytestmark = pytest.mark.looptime

EMPTY = (
    b'{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"9",'
    b'"annotations":{"k8s.io/initial-events-end":"true"}}}}\n'
)


def service(name: str, **labels: str) -> Service:
    return Service(Metadata(name, "shop", labels=labels))


def added(name: str) -> bytes:
    return (
        b'{"type":"ADDED","object":{"metadata":{"name":"%s","namespace":"shop","resourceVersion":"8"}}}\n'
        % name.encode()
    )


class Server:
    """An API server that answers from some time on, resource by resource; it holds Services only."""

    def __init__(self, *services: str, since: float = 0.0, since_of: Mapping[str, float] | None = None) -> None:
        self._listing = b"".join([*map(added, services), EMPTY])
        self._since, self._since_of = since, since_of or {}

    @asynccontextmanager
    async def get(self, path: str, _query: Mapping[str, str]) -> AsyncIterator[Answer]:
        """Answer a watch that streams a listing and then stays open."""
        resource = path.rpartition("/")[2]
        if asyncio.get_running_loop().time() < self._since_of.get(resource, self._since):
            raise Interrupted("Connection refused.")
        yield Answer((self._listing if resource == "services" else EMPTY, Pause(1e9)))

    async def renew(self) -> None:
        """Do nothing."""


@asynccontextmanager
async def told(server: Server, *stored: Object) -> AsyncIterator[list[tuple[float, Batch]]]:
    """Follow a server, and return what the source tells, with when it did."""
    source = KubernetesSource(
        server, stored={one.ref: one for one in stored}, chance=lambda: 1.0, clock=asyncio.get_running_loop().time
    )
    heard: list[tuple[float, Batch]] = []

    async def listen() -> None:
        async for batch in source.batches():
            heard.append((asyncio.get_running_loop().time(), batch))  # noqa: PERF401  # others read it meanwhile

    async with TaskGroup() as tasks:
        running = [tasks.create_task(source.run()), tasks.create_task(listen())]
        yield heard
        for task in running:
            task.cancel()


def words(batch: Batch) -> list[str]:
    """Return the changes of a batch: ``+name`` and ``-name``."""
    return sorted(f"{'+' if isinstance(change, Upsert) else '-'}{change.ref.name}" for change in batch.changes)


def merged(batches: list[tuple[float, Batch]]) -> list[str]:
    return sorted(word for _, batch in batches for word in words(batch))


async def test_a_server_that_answers_in_time_is_all_that_counts() -> None:
    """What was kept is not told before the truth: proxies are not corrected twice."""
    async with told(Server("a", "c", since=STORED_AFTER_SECONDS - 2), service("a"), service("b")) as heard:
        await asyncio.sleep(60)
        assert not any(batch.stale for _, batch in heard)
        assert merged(heard) == ["+a", "+c"]
        assert heard[-1][1].synced


async def test_what_was_kept_is_told_as_stale_when_no_server_answers_for_five_seconds() -> None:
    """With a problem that says since when, and what is not listed."""
    async with told(Server(since=1e9), service("a"), service("b")) as heard:
        await asyncio.sleep(60)
        (at, batch), *later = heard
        assert (at, batch.stale, batch.synced, words(batch)) == (STORED_AFTER_SECONDS, True, False, ["+a", "+b"])
        assert not any(batch.changes or batch.synced for _, batch in later)
        codes = {problem.code: problem.message for problem in heard[-1][1].problems}
        assert set(codes) == {"ApiUnreachable", "ServedFromState"}
        assert "is served since 1970-01-01T00:00:05Z" in codes["ServedFromState"]


async def test_without_anything_kept_nothing_is_told_before_the_first_listing() -> None:
    """An empty cluster would take everything away from proxies that come back (xds-protocol 47)."""
    async with told(Server("a", since=20)) as heard:
        await asyncio.sleep(60)
        assert not any(batch.changes for at, batch in heard if at < 20)
        assert not any(batch.stale for _, batch in heard)
        assert merged(heard) == ["+a"]


async def test_the_first_listing_comes_as_the_difference_to_what_was_told() -> None:
    """What went away meanwhile is told as gone, what is as it was is not told again."""
    async with told(Server("a", "c", since=60), service("a"), service("b")) as heard:
        await asyncio.sleep(200)
        assert merged(heard[1:]) == ["+c", "-b"]
        assert (heard[-1][1].synced, heard[-1][1].problems) == (True, ())


async def test_nothing_is_synced_before_the_last_resource_is_listed() -> None:
    """One rule that is missing, and what was kept goes on being served: half a cluster is not the truth."""
    async with told(Server("a", since=10, since_of={"ingresses": 600}), service("a"), service("b")) as heard:
        await asyncio.sleep(500)
        assert not any(batch.synced for _, batch in heard)
        assert "not listed yet: ingresses." in heard[-1][1].problems[-1].message
        await asyncio.sleep(500)
        assert heard[-1][1].synced
        assert merged(heard[1:]) == ["-b"]


async def test_a_change_of_what_was_kept_is_told_with_its_new_content() -> None:
    """The object is another by now."""
    async with told(Server("a", since=60), service("a", colour="red")) as heard:
        await asyncio.sleep(200)
        changes = {change.ref: change for _, batch in heard[1:] for change in batch.changes}
        change = changes[Ref(Kind.SERVICE, "shop", "a")]
        assert isinstance(change, Upsert)
        assert change.object.metadata.labels == {}
