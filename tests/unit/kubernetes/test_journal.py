"""The state of a cluster in the state folder: what is written, when, and who may read it (decision 0017)."""

from __future__ import annotations

import asyncio
from asyncio import Queue
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from nodegate.model.changes import Batch, Delete, ObjectChange, Upsert
from nodegate.model.objects import WITHHELD_KEY, Metadata, Object, Secret, Service
from nodegate.model.refs import Kind, Ref
from nodegate.source.kubernetes.journal import RETRY_SECONDS, SPARE_BYTES, Journal
from nodegate.translate.certificates import without_key
from tests.certificates import pair

SOURCE = "https://10.96.0.1"


def service(name: str, **labels: str) -> Service:
    return Service(Metadata(name, "shop", labels=labels))


def secret(name: str) -> Secret:
    return Secret(Metadata(name, "shop", annotations={"note": "private"}), "kubernetes.io/tls", pair("a.example").data)


def whole(one: Object) -> Object:
    return one


def names(folder: Path) -> set[str]:
    return {ref.name for ref in Journal(folder, SOURCE, whole).load()}


class Told:
    """A journal, and the source that a test plays."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self._batches = Queue[Batch]()

    async def say(self, *changes: ObjectChange | Object, synced: bool = True, stale: bool = False) -> None:
        """Let the source yield one batch, and the journal note it."""
        made = tuple(one if isinstance(one, Upsert | Delete) else Upsert(one) for one in changes)
        await self._batches.put(Batch(made, synced, (), stale))
        await self._batches.join()

    async def read(self) -> None:
        """Be the engine, which takes batch after batch."""

        async def source() -> AsyncIterator[Batch]:
            while True:
                yield await self._batches.get()

        async for _ in self.journal.keeping(source()):
            self._batches.task_done()


@asynccontextmanager
async def keeping(folder: Path, source: str = SOURCE, journal: type[Journal] = Journal) -> AsyncIterator[Told]:
    """Give a journal that begins with what is in the folder."""
    told = Told(journal(folder, source, without_key_of_secrets))
    told.journal.load()
    reading = asyncio.ensure_future(told.read())
    try:
        yield told
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        await told.journal.write()  # as at every graceful end


def without_key_of_secrets(one: Object) -> Object:
    return without_key(one) if isinstance(one, Secret) else one


async def test_a_start_finds_what_the_last_run_knew(tmp_path: Path) -> None:
    """The newest, deletions included, also what came in the last second before a graceful end."""
    async with keeping(tmp_path) as told:
        await told.say(service("a"), service("b"), service("c"))
        await told.journal.write()
        await told.say(service("a", colour="red"), Delete(Ref(Kind.SERVICE, "shop", "b")))
    assert Journal(tmp_path, SOURCE, whole).load() == {
        one.ref: one for one in (service("a", colour="red"), service("c"))
    }


async def test_half_a_listing_is_not_written(tmp_path: Path) -> None:
    """It would be half a cluster, and the whole one is there still."""
    async with keeping(tmp_path) as told:
        await told.say(service("a"), service("b"))
    async with keeping(tmp_path) as told:
        await told.say(service("c"), synced=False)
        await told.journal.write()
        assert names(tmp_path) == {"a", "b"}
        await told.say(Delete(Ref(Kind.SERVICE, "shop", "a")))
        await told.journal.write()
    assert names(tmp_path) == {"b", "c"}


async def test_a_change_costs_its_own_size(tmp_path: Path) -> None:
    """One line, however much the cluster holds; nothing at all when what came is what is there."""
    many = [service(f"s{number}", text="x" * 1000) for number in range(1000)]
    async with keeping(tmp_path) as told:
        await told.say(*many)
        await told.journal.write()
        before = told.journal.path.stat()
        await told.say(service("s7", text="y" * 1000))
        await told.journal.write()
        after = told.journal.path.stat()
        assert 1000 < after.st_size - before.st_size < 1300
    async with keeping(tmp_path) as told:
        await told.say(*many[:7], service("s7", text="y" * 1000), *many[8:])
        await told.journal.write()
        assert told.journal.path.stat().st_mtime == after.st_mtime


async def test_it_never_grows_to_more_than_about_twice_its_content(tmp_path: Path) -> None:
    """Then it is made anew, as a whole."""
    async with keeping(tmp_path) as told:
        await told.say(service("a"))
        for number in range(30):
            await told.say(service("a", text=str(number) * 50_000))
            await told.journal.write()
            assert told.journal.path.stat().st_size < SPARE_BYTES + 4 * 100_000
    assert names(tmp_path) == {"a"}


async def test_only_its_owner_may_read_it_and_no_private_key_is_in_it(tmp_path: Path) -> None:
    """What is left of a Secret is what everything but the Secret itself is made of."""
    folder = tmp_path / "state"
    async with keeping(folder) as told:
        await told.say(secret("tls"), Secret(Metadata("broken", "shop"), "kubernetes.io/tls", {"tls.key": b"x"}))
        await told.journal.write()
        assert (folder.stat().st_mode & 0o777, told.journal.path.stat().st_mode & 0o777) == (0o700, 0o600)
        text = told.journal.path.read_bytes()
    for word in (b"PRIVATE KEY", b"UFJJVkFURSBLRVk", b"private"):  # plain, in base64, and what annotations hold
        assert word not in text
    kept = {one.metadata.name: one for one in Journal(folder, SOURCE, whole).load().values() if isinstance(one, Secret)}
    good = pair("a.example")
    assert kept["tls"].data == {"tls.crt": good.certificate, "ca.crt": good.authority, "tls.key": WITHHELD_KEY}
    assert kept["broken"].data == {}


async def test_a_folder_that_cannot_be_written_loses_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What came meanwhile is written with what could not be; the log says it in a sentence."""
    blocked = tmp_path / "state"
    blocked.write_text("a file where a folder should be")
    async with keeping(blocked) as told:
        await told.say(service("a"))
        assert not await told.journal.write()
        await told.say(service("b"))
        assert "cannot be kept" in capsys.readouterr().out
        blocked.unlink()
        assert await told.journal.write()
        assert names(blocked) == {"a", "b"}


@pytest.mark.looptime
async def test_changes_are_gathered_for_a_second_and_failures_are_repeated_in_half_a_minute(tmp_path: Path) -> None:
    """A rolling update is one line, and a full disk is not written to without end."""
    blocked, now = tmp_path / "state", asyncio.get_running_loop().time
    blocked.write_text("a file where a folder should be")
    tried = []

    class Noting(Journal):
        async def write(self) -> bool:
            tried.append(now())
            if len(tried) == 3:
                blocked.unlink()
            return await super().write()

    async with keeping(blocked, journal=Noting) as told:
        running = asyncio.ensure_future(told.journal.run())
        await told.say(service("a"))
        await told.say(service("b"))
        await asyncio.sleep(1000)
        running.cancel()
    assert tried[:3] == [1, 2 + RETRY_SECONDS, 3 + 2 * RETRY_SECONDS]
    assert names(blocked) == {"a", "b"}


async def test_a_torn_end_is_made_whole_with_the_next_change(tmp_path: Path) -> None:
    """A line is never written behind half of another."""
    async with keeping(tmp_path) as told:
        await told.say(service("a"))
        await told.journal.write()
        await told.say(service("b"))
        await told.journal.write()
        path = told.journal.path
    path.write_bytes(path.read_bytes()[:-5])
    async with keeping(tmp_path) as told:
        await told.say(service("c"))
    assert names(tmp_path) == {"a", "c"}


async def test_what_is_not_understood_is_set_aside_and_never_served(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Somebody may want to look at it; the log says why."""
    async with keeping(tmp_path, "https://192.0.2.1") as told:
        await told.say(service("a"))
    before = told.journal.path.read_bytes()
    assert names(tmp_path) == set()
    assert "of another cluster" in capsys.readouterr().out
    assert (tmp_path / "cluster.set-aside").read_bytes() == before
    async with keeping(tmp_path) as told:
        await told.say(service("b"))
    assert names(tmp_path) == {"b"}


async def test_what_it_said_itself_is_not_news(tmp_path: Path) -> None:
    """The batch of what was kept goes by; before the first listing nothing is written for it."""
    async with keeping(tmp_path) as told:
        await told.say(service("a"))
    before = written(told.journal.path)
    async with keeping(tmp_path) as told:
        await told.say(service("a"), synced=False, stale=True)
        await told.journal.write()
    assert written(told.journal.path) == before


def written(path: Path) -> tuple[int, int, int]:
    """Return what writing a file changes; to read it changes when it was read, which is none of that."""
    found = path.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns
