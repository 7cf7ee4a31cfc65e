"""A folder followed live: with real files, the real kernel and no sleeps, each test waits for the next batch only."""

from __future__ import annotations

import asyncio
import os
import random
import resource
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager, closing, contextmanager
from pathlib import Path

import pytest
import structlog

from nodegate.errors import SourceError
from nodegate.model.changes import Batch, Delete, Upsert
from nodegate.model.objects import Object, Service
from nodegate.model.refs import Ref
from nodegate.source import Source
from nodegate.source.files import FolderSource, read_folder
from nodegate.source.files.watch import FolderWatch
from tests.unit.source.manifests import SEED, TLS_SECRET, service
from tests.unit.source.test_folder_reader import mount_configmap

PATIENCE = 20  # seconds; far more than anything here takes, for machines that are busy


class Follower:
    """What somebody knows who applies every batch."""

    def __init__(self, batches: AsyncIterator[Batch]) -> None:
        self.objects: dict[Ref, Object] = {}
        self.batches: list[Batch] = []
        self._batches = batches

    async def next(self) -> Batch:
        """Wait for the next batch and apply it."""
        async with asyncio.timeout(PATIENCE):
            batch = await anext(self._batches)
        self.batches.append(batch)
        for change in batch.changes:
            if isinstance(change, Delete):
                del self.objects[change.ref]
            else:
                self.objects[change.ref] = change.object
        return batch

    @property
    def ports(self) -> dict[str, int]:
        """The port of every Service, which stands for its content."""
        return {one.ref.name: one.spec.ports[0].port for one in self.objects.values() if isinstance(one, Service)}


@asynccontextmanager
async def following(folder: Path, state_dir: Path | None = None) -> AsyncIterator[Follower]:
    """Follow a folder; the first batch has been applied."""
    source: Source = FolderSource(folder, state_dir)
    async with aclosing(source.batches()) as batches:  # type: ignore[type-var]
        follower = Follower(batches)
        await follower.next()
        yield follower


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with the Service shop on port 80 in a.yaml."""
    path = tmp_path / "manifests"
    path.mkdir()
    (path / "a.yaml").write_text(service("shop", 80))
    return path


@contextmanager
def captured_logs() -> Iterator[list[dict[str, object]]]:
    """Collect log lines."""
    with structlog.testing.capture_logs() as logs:
        yield logs  # type: ignore[misc]


async def test_the_first_batch_holds_everything_and_is_synced(folder: Path) -> None:
    (folder / "b.yaml").write_text(SEED)
    async with following(folder) as follower:
        (batch,) = follower.batches
        assert batch.synced
        assert batch.problems == ()
        assert [type(change) for change in batch.changes] == [Upsert, Upsert]
        assert [ref.name for ref in follower.objects] == ["basic-ingress", "shop"]


async def test_an_empty_folder_is_synced_with_nothing(tmp_path: Path) -> None:
    async with following(tmp_path) as follower:
        assert follower.batches == [Batch(synced=True)]


async def test_an_edit_an_added_and_a_removed_file_are_followed(folder: Path) -> None:
    async with following(folder) as follower:
        (folder / "a.yaml").write_text(service("shop", 81))
        await follower.next()
        assert follower.ports == {"shop": 81}
        (folder / "b.yaml").write_text(service("cart"))
        await follower.next()
        assert follower.ports == {"shop": 81, "cart": 80}
        (folder / "a.yaml").unlink()
        await follower.next()
        assert follower.ports == {"cart": 80}


async def test_a_file_that_is_replaced_in_one_step_is_followed(folder: Path) -> None:
    """Editors and tools write a new file and rename it over the old one."""
    async with following(folder) as follower:
        (folder / "a.yaml.tmp").write_text(service("shop", 81))
        (folder / "a.yaml.tmp").replace(folder / "a.yaml")
        await follower.next()
        assert follower.ports == {"shop": 81}


async def test_vims_way_of_saving_is_one_edit(folder: Path) -> None:
    """Vim writes 4913 to try the folder, a swap file, moves the file to a backup and writes it anew."""
    async with following(folder) as follower:
        (folder / ".a.yaml.swp").write_bytes(b"b0VIM")
        (folder / "4913").touch()
        (folder / "4913").unlink()
        (folder / "a.yaml").rename(folder / "a.yaml~")
        (folder / "a.yaml").write_text(service("shop", 81))
        (folder / "a.yaml~").unlink()
        batch = await follower.next()
        assert follower.ports == {"shop": 81}
        assert len(batch.changes) == 1


async def test_edits_that_belong_together_are_one_batch(folder: Path) -> None:
    async with following(folder) as follower:
        (folder / "a.yaml").unlink()
        for number in range(20):
            (folder / f"s{number}.yaml").write_text(service(f"s{number}"))
        batch = await follower.next()
        assert len(batch.changes) == 21


async def test_a_switch_of_a_mounted_configmap_is_one_batch(tmp_path: Path) -> None:
    mount_configmap(tmp_path, "2026_01", a=service("shop", 80), b=service("cart", 80))
    async with following(tmp_path) as follower:
        mount_configmap(tmp_path, "2026_02", a=service("shop", 81), b=service("cart", 81))
        shutil.rmtree(tmp_path / "..2026_01")
        batch = await follower.next()
        assert len(batch.changes) == 2
        assert follower.ports == {"shop": 81, "cart": 81}


async def test_a_folder_that_comes_later_is_watched_too(folder: Path) -> None:
    async with following(folder) as follower:
        (folder / "in" / "deep").mkdir(parents=True)
        (folder / "in" / "deep" / "b.yaml").write_text(service("cart", 80))
        await follower.next()
        (folder / "in" / "deep" / "b.yaml").write_text(service("cart", 81))
        await follower.next()
        assert follower.ports == {"shop": 80, "cart": 81}


async def test_a_renamed_file_and_equal_content_are_no_batch(folder: Path) -> None:
    async with following(folder) as follower, asyncio.TaskGroup() as tasks:
        following_batch = tasks.create_task(follower.next())
        for edit in (
            lambda: (folder / "a.yaml").rename(folder / "b.yaml"),
            lambda: (folder / "b.yaml").write_text(service("shop", 80)),
            lambda: (folder / "README.md").write_text("nothing"),
        ):
            edit()
            done, _ = await asyncio.wait({following_batch}, timeout=0.3)  # five times the time an edit takes
            assert not done
        (folder / "d.yaml").write_text(service("end"))
        batch = await following_batch
        assert [str(change.ref) for change in batch.changes] == ["Service default/end"]


async def test_a_folder_that_goes_and_comes_back_loses_nothing(folder: Path) -> None:
    async with following(folder) as follower:
        shutil.move(folder, folder.parent / "elsewhere")
        batch = await follower.next()
        assert [problem.code for problem in batch.problems] == ["FolderMissing"]
        assert follower.ports == {"shop": 80}
        shutil.copytree(folder.parent / "elsewhere", folder)
        (folder / "a.yaml").write_text(service("shop", 81))
        while follower.ports != {"shop": 81}:
            await follower.next()
        assert follower.batches[-1].problems == ()
        (folder / "a.yaml").write_text(service("shop", 82))
        await follower.next()
        assert follower.ports == {"shop": 82}


async def test_a_folder_that_is_replaced_by_another_is_followed(folder: Path) -> None:
    async with following(folder) as follower:
        other = folder.parent / "other"
        other.mkdir()
        (other / "a.yaml").write_text(service("shop", 81))
        shutil.rmtree(folder)
        other.rename(folder)
        while follower.ports != {"shop": 81}:
            await follower.next()
        (folder / "a.yaml").write_text(service("shop", 82))
        while follower.ports != {"shop": 82}:
            await follower.next()
        assert all(not isinstance(change, Delete) for batch in follower.batches for change in batch.changes)


async def test_a_change_behind_a_link_to_elsewhere_is_seen_by_looking(folder: Path) -> None:
    """The kernel reports nothing for it: the safety net that also serves network mounts."""
    (folder.parent / "real").write_text(service("cart", 80))
    (folder / "b.yaml").symlink_to("../real")
    async with following(folder) as follower:
        (folder.parent / "real").write_text(service("cart", 81))
        await follower.next()
        assert follower.ports == {"shop": 80, "cart": 81}


async def test_a_folder_named_from_here_is_followed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel reports full paths, whatever way the folder was named."""
    monkeypatch.chdir(folder.parent)
    async with following(Path(folder.name)) as follower:
        other = shutil.copytree(folder, folder.parent / "other")
        shutil.rmtree(folder)
        shutil.move(other, folder)
        (folder / "a.yaml").write_text(service("shop", 81))
        while follower.ports != {"shop": 81}:
            await follower.next()


def link(name: Path, to: str) -> None:
    """Make a link, or let an existing one lead elsewhere in one step."""
    name.with_suffix(".new").symlink_to(to)
    name.with_suffix(".new").replace(name)


async def test_a_folder_that_is_a_link_is_followed_when_the_link_switches(folder: Path) -> None:
    current = folder.parent / "current"
    following_one = shutil.copytree(folder, folder.parent / "next")
    link(current, to=folder.name)
    async with following(current) as follower:
        (following_one / "a.yaml").write_text(service("shop", 81))
        link(current, to="next")
        await follower.next()
        assert follower.ports == {"shop": 81}


@contextmanager
def no_more_files() -> Iterator[None]:
    """Forbid this process to open anything more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest_free = os.dup(0)
    os.close(lowest_free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_a_folder_the_kernel_cannot_watch_is_looked_at(folder: Path) -> None:
    """Limits on inotify are low in many clusters; following gets slower there, and a log line says so."""
    with captured_logs() as logs, closing(FolderWatch(folder)) as watch:
        with no_more_files():
            await watch.start()
        async with asyncio.timeout(PATIENCE):
            await watch.wait(60)
    assert "max_user_watches" in str(logs)


async def test_any_edits_end_in_what_is_in_the_folder(folder: Path) -> None:
    """Whatever was edited in whatever way and haste, in the end everybody has what the files say."""
    edits = random.Random(3)  # a history that can be repeated
    async with following(folder) as follower:
        for number in range(150):
            edit(folder, edits)
            if number % 10 == 0:
                await asyncio.sleep(0)
        (folder / "end.yaml").write_text(service("end"))
        while "end" not in follower.ports:
            await follower.next()
        while tuple(follower.objects[ref] for ref in sorted(follower.objects)) != read_folder(folder).objects:
            await follower.next()


def edit(folder: Path, edits: random.Random) -> None:
    """Do something to one of a few files."""
    one, other = (folder / f"{edits.choice('abcd')}.yaml" for _ in range(2))
    match edits.randrange(6):
        case 0 | 1:
            one.write_text(service(f"s{edits.randrange(4)}", edits.randrange(80, 90)))
        case 2:
            one.unlink(missing_ok=True)
        case 3 if one.exists():
            one.replace(other)
        case 4:
            (folder / "tmp").write_text(service(f"s{edits.randrange(4)}", edits.randrange(80, 90)))
            (folder / "tmp").replace(one)
        case 5:
            (folder / "in").mkdir(exist_ok=True)
            (folder / "in" / one.name).write_text(service(f"t{edits.randrange(4)}"))


# --- Bad manifests -----------------------------------------------------------------------------------------------


async def test_a_bad_edit_is_a_batch_of_problems_only_and_logged_once(folder: Path) -> None:
    with captured_logs() as logs:
        async with following(folder) as follower:
            (folder / "a.yaml").write_text(service("shop", 0))
            batch = await follower.next()
            assert batch.changes == ()
            assert [problem.field for problem in batch.problems] == ["spec.ports[0].port"]
            (folder / "b.yaml").write_text(service("cart"))
            batch = await follower.next()
            assert [problem.field for problem in batch.problems] == ["spec.ports[0].port"]
            (folder / "a.yaml").write_text(service("shop", 81))
            batch = await follower.next()
            assert batch.problems == ()
            assert follower.ports == {"shop": 81, "cart": 80}
    events = [(line["log_level"], str(line["event"])) for line in logs if "spec.ports[0].port" in str(line["event"])]
    assert [level for level, _ in events] == ["error", "info"]
    assert f"{folder}/a.yaml:8" in events[0][1]
    assert events[1][1].startswith("Solved: ")


async def test_a_manifest_that_a_command_writes_anew_loses_nothing_while_it_runs(folder: Path) -> None:
    """The shell empties the file at once, the command writes seconds later: `kubectl get -o yaml > a.yaml`."""
    async with following(folder) as follower:
        command = f"{{ read go; printf '%s' '{service('shop', 81)}'; }} > a.yaml"
        shell = await asyncio.create_subprocess_shell(command, cwd=folder, stdin=asyncio.subprocess.PIPE)
        batch = await follower.next()
        assert [problem.code for problem in batch.problems] == ["EmptyFile"]
        await shell.communicate(b"go\n")
        await follower.next()
        assert follower.ports == {"shop": 81}
        assert not any(isinstance(change, Delete) for batch in follower.batches for change in batch.changes)


async def test_a_key_in_a_broken_file_is_not_logged(folder: Path) -> None:
    key = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj"
    with captured_logs() as logs:
        (folder / "s.yaml").write_text(TLS_SECRET.replace("a2V5", f"'{key}"))
        async with following(folder) as follower:
            assert len(follower.batches[0].problems) == 1
            (folder / "s.yaml").write_text(TLS_SECRET.replace("a2V5", f"{key}!"))
            await follower.next()
    assert logs
    assert key not in str(logs)


async def test_a_missing_folder_at_the_start_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="--source"):
        async with following(tmp_path / "nothing"):
            pass


# --- A restart ---------------------------------------------------------------------------------------------------


async def test_a_restart_with_a_broken_file_serves_its_last_good_objects(folder: Path, tmp_path: Path) -> None:
    async with following(folder, tmp_path / "state"):
        pass
    (folder / "a.yaml").write_text("a: [")
    async with following(folder, tmp_path / "state") as follower:
        assert follower.ports == {"shop": 80}
        assert [problem.code for problem in follower.batches[0].problems] == ["InvalidSyntax"]
    async with following(folder) as follower:
        assert follower.ports == {}


async def test_a_restart_forgets_files_that_went_while_it_was_down(folder: Path, tmp_path: Path) -> None:
    async with following(folder, tmp_path / "state"):
        pass
    (folder / "a.yaml").unlink()
    async with following(folder, tmp_path / "state") as follower:
        assert follower.ports == {}


async def test_a_restart_without_the_folder_serves_what_was_there(folder: Path, tmp_path: Path) -> None:
    async with following(folder, tmp_path / "state"):
        pass
    shutil.rmtree(folder)
    async with following(folder, tmp_path / "state") as follower:
        assert follower.ports == {"shop": 80}
        assert [problem.code for problem in follower.batches[0].problems] == ["FolderMissing"]


async def test_a_state_folder_that_cannot_be_written_is_a_problem_and_no_failure(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    async with following(folder, tmp_path / "file") as follower:
        assert follower.ports == {"shop": 80}
        assert [problem.code for problem in follower.batches[0].problems] == ["StateNotWritten"]
        (tmp_path / "file").unlink()
        (folder / "a.yaml").write_text(service("shop", 81))
        batch = await follower.next()
        assert batch.problems == ()


# --- Ending ------------------------------------------------------------------------------------------------------


async def test_following_ends_at_once_when_it_is_cancelled(folder: Path) -> None:
    started = asyncio.Event()

    async def follow() -> None:
        async for _ in FolderSource(folder).batches():
            started.set()

    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(follow())
        await started.wait()
        task.cancel()
    assert task.cancelled()
