"""Which files of a folder are read, when they are read again, and what is believed."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from nodegate.errors import SourceError
from nodegate.model.objects import Service
from nodegate.model.refs import Kind, Ref
from nodegate.source.files import read_folder
from nodegate.source.files.reader import DELETE_GRACE, LONGEST_HOLD, SETTLED, FolderReader
from nodegate.source.files.scan import LARGEST_FILE, scan
from tests.unit.source.manifests import SEED, service

SHOP = Ref(Kind.SERVICE, "default", "shop")


class Clock:
    """Time that passes when the test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        """Return the seconds."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """Return a clock that stands still."""
    return Clock()


@pytest.fixture
def reader(tmp_path: Path, clock: Clock) -> FolderReader:
    """Return a reader of the test's own folder, to whom every file has been quiet for a second."""
    return FolderReader(tmp_path, clock=clock, file_clock=later(1))


def later(seconds: float) -> Callable[[], int]:
    """Return the clock of the files, as it will be in some seconds."""
    return lambda: time.time_ns() + int(seconds * 1e9)


def names(reader: FolderReader) -> list[str]:
    """Return the names of all objects."""
    return [ref.name for ref in sorted(reader.state.objects)]


def codes_of(reader: FolderReader) -> list[str]:
    """Return the codes of all problems."""
    return [problem.code for problem in reader.problems]


@contextmanager
def as_somebody_else() -> Iterator[None]:
    """Run as a user who is not root, whom permissions do not stop."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def shared() -> Iterator[Path]:
    """Return a folder that other users may enter, unlike pytest's."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


# --- Which files -------------------------------------------------------------------------------------------------


def test_manifests_are_found_in_all_folders_below(tmp_path: Path) -> None:
    for name in ("a.yaml", "b.yml", "c.json", "d/e.yaml", "d/f/g.yaml"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert sorted(scan(tmp_path).files) == ["a.yaml", "b.yml", "c.json", "d/e.yaml", "d/f/g.yaml"]


@pytest.mark.parametrize(
    "name",
    [
        *(
            ".a.yaml",
            ".a.yaml.swp",
            ".a.yaml.swx",
            "a.yaml~",
            "#a.yaml#",
            ".#a.yaml",
            "4913",
            "a.yaml.tmp",
            "a.yaml.bak",
        ),
        *(
            "a.yaml.swp",
            "a.yaml.orig",
            "README.md",
            ".git/a.yaml",
            "a",
            "yaml",
            "a.yaml___jb_tmp___",
            ".goutputstream-X",
        ),
        *("kustomization.yaml", "kustomization.yml"),
    ],
)
def test_what_editors_and_tools_leave_behind_is_no_manifest(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text(service("shop"))
    assert scan(tmp_path).files == {}


def test_pipes_and_folders_with_the_name_of_a_manifest_are_none(tmp_path: Path) -> None:
    """Opening a pipe would wait for somebody to write."""
    os.mkfifo(tmp_path / "a.yaml")
    (tmp_path / "b.yaml").mkdir()
    assert scan(tmp_path).files == {}


def mount_configmap(folder: Path, version: str, **files: str) -> None:
    """Write files as the kubelet mounts a ConfigMap: into a hidden folder that a link switches to in one step."""
    hidden = folder / f"..{version}"
    hidden.mkdir()
    for name, content in files.items():
        (hidden / f"{name}.yaml").write_text(content)
        if not (folder / f"{name}.yaml").is_symlink():
            (folder / f"{name}.yaml").symlink_to(f"..data/{name}.yaml")
    (folder / "..data_tmp").symlink_to(hidden.name)
    (folder / "..data_tmp").replace(folder / "..data")


def test_a_mounted_configmap_is_read_once_through_its_visible_links(tmp_path: Path, reader: FolderReader) -> None:
    mount_configmap(tmp_path, "2026_01_01", a=service("shop", 80), b=SEED)
    reader.look()
    assert names(reader) == ["basic-ingress", "shop"]
    assert reader.problems == ()


def test_a_switch_of_a_configmap_is_one_change(tmp_path: Path, reader: FolderReader) -> None:
    mount_configmap(tmp_path, "2026_01_01", a=service("shop", 80), b=service("cart", 80))
    reader.look()
    mount_configmap(tmp_path, "2026_01_02", a=service("shop", 81), b=service("cart", 81))
    shutil.rmtree(tmp_path / "..2026_01_01")
    assert reader.look() is None
    services = [found for found in reader.state.objects.values() if isinstance(found, Service)]
    assert [found.spec.ports[0].port for found in services] == [81, 81]


def test_links_to_folders_are_followed_and_circles_end(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.yaml").touch()
    (tmp_path / "in" / "back").symlink_to("..")
    (tmp_path / "out").symlink_to("in")
    assert list(scan(tmp_path).files) == ["in/a.yaml"]


def test_the_state_folder_may_be_inside(tmp_path: Path) -> None:
    """What nodegate writes there is JSON, and must not be taken for manifests."""
    state_dir = tmp_path / "state"
    state_dir.mkdir()
    (state_dir / "ports.json").write_text("{}")
    (tmp_path / "a.yaml").write_text(service("shop"))
    assert list(scan(tmp_path, (state_dir, tmp_path / "not-there-yet")).files) == ["a.yaml"]


def test_names_that_nothing_could_show_are_problems(tmp_path: Path, reader: FolderReader) -> None:
    """Names of files are bytes; a log line and JSON are UTF-8 text."""
    for name in (b"a\xff.yaml", b"b\n.yaml", b"c\xff/d.yaml"):
        path = os.path.join(os.fsencode(tmp_path), name)  # noqa: PTH118  # pathlib takes no bytes
        os.makedirs(os.path.dirname(path), exist_ok=True)  # noqa: PTH103, PTH120  # same
        Path(os.fsdecode(path)).touch()
    reader.look()
    assert [problem.location for problem in reader.problems] == [
        f"{tmp_path}/{name}" for name in ("a?.yaml", "b?.yaml", "c?")
    ]


def test_one_file_under_two_names_is_read_under_the_first(tmp_path: Path, reader: FolderReader) -> None:
    (tmp_path / "b.yaml").write_text(service("shop"))
    (tmp_path / "a.yaml").symlink_to("b.yaml")
    (tmp_path / "c.yaml").hardlink_to(tmp_path / "b.yaml")
    reader.look()
    assert list(reader.state.files) == ["a.yaml"]
    assert reader.problems == ()


# --- What cannot be read -----------------------------------------------------------------------------------------


def test_a_file_without_permission_keeps_its_objects_and_is_a_problem(shared: Path) -> None:
    (shared / "a.yaml").write_text(service("shop"))
    (shared / "b.yaml").write_text(SEED)
    reader = FolderReader(shared, file_clock=later(1))
    reader.look()
    (shared / "a.yaml").chmod(0)
    with as_somebody_else():
        reader.look()
    assert names(reader) == ["basic-ingress", "shop"]
    (problem,) = reader.problems
    assert problem.code == "FileUnreadable"
    assert problem.location == f"{shared}/a.yaml"
    assert "Permission denied" in problem.message


def test_a_folder_without_permission_keeps_its_objects_and_is_a_problem(shared: Path) -> None:
    (shared / "in").mkdir()
    (shared / "in" / "a.yaml").write_text(service("shop"))
    reader = FolderReader(shared, file_clock=later(1))
    reader.look()
    (shared / "in").chmod(0)
    with as_somebody_else():
        assert reader.look() is None
    assert names(reader) == ["shop"]
    assert codes_of(reader) == ["FileUnreadable"]
    (shared / "in").chmod(0o755)
    reader.look()
    assert reader.problems == ()


def test_a_link_to_nothing_keeps_its_objects_and_is_a_problem(tmp_path: Path, reader: FolderReader) -> None:
    (tmp_path / "real").write_text(service("shop"))
    (tmp_path / "a.yaml").symlink_to("real")
    reader.look()
    (tmp_path / "real").unlink()
    reader.look()
    assert names(reader) == ["shop"]
    assert "symbolic link to nothing" in reader.problems[0].message


def test_a_link_to_itself_is_a_problem(tmp_path: Path, reader: FolderReader) -> None:
    (tmp_path / "a.yaml").symlink_to("a.yaml")
    reader.look()
    assert codes_of(reader) == ["FileUnreadable"]


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path, reader: FolderReader) -> None:
    (tmp_path / "a.yaml").write_text(service("shop"))
    reader.look()
    with (tmp_path / "a.yaml").open("r+b") as file:
        file.truncate(LARGEST_FILE + 1)
    reader.look()
    assert names(reader) == ["shop"]
    assert codes_of(reader) == ["FileTooLarge"]


def test_a_missing_folder_keeps_everything_and_is_a_problem(tmp_path: Path) -> None:
    """A folder that went is a mount that failed or a checkout that is under way, not the end of all Ingresses."""
    folder = tmp_path / "manifests"
    folder.mkdir()
    (folder / "a.yaml").write_text(service("shop"))
    reader = FolderReader(folder, file_clock=later(1))
    reader.look()
    folder.rename(tmp_path / "elsewhere")
    reader.look()
    assert names(reader) == ["shop"]
    assert codes_of(reader) == ["FolderMissing"]
    (tmp_path / "elsewhere").rename(folder)
    reader.look()
    assert reader.problems == ()


def test_reading_a_missing_folder_once_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="cannot be read: No such file"):
        read_folder(tmp_path / "nothing")
    (tmp_path / "a.yaml").touch()
    with pytest.raises(SourceError, match="Not a directory"):
        read_folder(tmp_path / "a.yaml")


def test_reading_a_folder_once_returns_objects_and_problems(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(service("shop") + "---\n" + SEED)
    (tmp_path / "b.yaml").write_text("a: [")
    listing = read_folder(tmp_path)
    assert [str(found.ref) for found in listing.objects] == ["Ingress default/basic-ingress", "Service default/shop"]
    assert [problem.location for problem in listing.problems] == [f"{tmp_path}/b.yaml:1"]


# --- Reading again -----------------------------------------------------------------------------------------------


def test_a_file_that_was_quiet_when_it_was_read_is_read_again_when_its_stamp_changes(
    tmp_path: Path, reader: FolderReader
) -> None:
    (tmp_path / "a.yaml").write_text(service("shop", 80))
    reader.look()
    assert list(reader._stamps) == ["a.yaml"]
    (tmp_path / "a.yaml").write_text(service("shop", 8080))
    reader.look()
    assert _port(reader) == 8080


def test_a_file_that_was_just_written_is_read_again_in_any_case(tmp_path: Path) -> None:
    """Two writes within one tick of the kernel's clock leave the same stamp (git's "racily clean")."""
    reader = FolderReader(tmp_path, file_clock=later(SETTLED))
    (tmp_path / "a.yaml").write_text(service("shop", 80))
    reader.look()
    assert reader._stamps == {}
    status = (tmp_path / "a.yaml").stat()
    (tmp_path / "a.yaml").write_text(service("shop", 81))
    os.utime(tmp_path / "a.yaml", ns=(status.st_atime_ns, status.st_mtime_ns))
    reader.look()
    assert _port(reader) == 81


def test_a_file_that_is_being_written_is_not_looked_at_yet(tmp_path: Path, clock: Clock) -> None:
    """Half an Ingress may be a valid one, with fewer paths."""
    now = [0]
    reader = FolderReader(tmp_path, clock=clock, file_clock=lambda: now[0])
    (tmp_path / "a.yaml").write_text(service("shop", 80))
    reader.look()
    (tmp_path / "a.yaml").write_text(service("shop", 81))
    now[0] = (tmp_path / "a.yaml").stat().st_ctime_ns
    assert reader.look() == SETTLED
    assert _port(reader) == 80
    now[0] += int(SETTLED * 1e9)
    assert reader.look() is None
    assert _port(reader) == 81


def test_a_file_that_is_written_all_the_time_is_looked_at_after_a_while(tmp_path: Path, clock: Clock) -> None:
    now = [0]
    reader = FolderReader(tmp_path, clock=clock, file_clock=lambda: now[0])
    reader.look()
    (tmp_path / "a.yaml").write_text(service("shop", 80))
    now[0] = (tmp_path / "a.yaml").stat().st_ctime_ns
    looks = 0
    while reader.look() is not None:
        clock.now += SETTLED
        looks += 1
    assert looks == pytest.approx(LONGEST_HOLD / SETTLED, abs=2)
    assert names(reader) == ["shop"]


def _port(reader: FolderReader) -> int:
    found = reader.state.objects[SHOP]
    assert isinstance(found, Service)
    return found.spec.ports[0].port


# --- Taking away -------------------------------------------------------------------------------------------------


def test_a_file_that_is_gone_is_believed_gone_when_it_is_so_twice(
    tmp_path: Path, reader: FolderReader, clock: Clock
) -> None:
    (tmp_path / "a.yaml").write_text(service("shop"))
    reader.look()
    (tmp_path / "a.yaml").unlink()
    assert reader.look() == pytest.approx(DELETE_GRACE)
    assert names(reader) == ["shop"]
    clock.now += DELETE_GRACE
    assert reader.look() is None
    assert names(reader) == []


def test_a_file_that_is_saved_by_removing_or_emptying_it_first_is_never_missing(
    tmp_path: Path, reader: FolderReader, clock: Clock
) -> None:
    (tmp_path / "a.yaml").write_text(service("shop", 80))
    reader.look()
    for between in (lambda: (tmp_path / "a.yaml").write_text(""), (tmp_path / "a.yaml").unlink):
        between()
        reader.look()
        clock.now += 0.05
        (tmp_path / "a.yaml").write_text(service("shop", 81))
        assert reader.look() is None
        assert _port(reader) == 81


def test_what_changes_together_with_a_delete_waits_with_it(tmp_path: Path, reader: FolderReader, clock: Clock) -> None:
    """A batch of edits is one change, or the new Service could come without the route that needs it."""
    (tmp_path / "a.yaml").write_text(service("shop"))
    reader.look()
    (tmp_path / "a.yaml").unlink()
    (tmp_path / "b.yaml").write_text(service("cart"))
    assert reader.look() is not None
    assert names(reader) == ["shop"]
    clock.now += DELETE_GRACE
    reader.look()
    assert names(reader) == ["cart"]


def test_a_stream_of_deletes_does_not_hold_everything_back_for_ever(
    tmp_path: Path, reader: FolderReader, clock: Clock
) -> None:
    for number in range(20):
        (tmp_path / f"{number:02}.yaml").write_text(service(f"s{number}"))
    reader.look()
    held = 0.0
    for number in range(20):
        (tmp_path / f"{number:02}.yaml").unlink()
        wait = reader.look()
        if wait is None:
            break
        assert wait <= DELETE_GRACE
        clock.now += 0.1
        held += 0.1
    assert held <= LONGEST_HOLD + 0.1
    assert len(names(reader)) < 20


def test_a_renamed_file_is_no_change_and_does_not_wait(tmp_path: Path, reader: FolderReader) -> None:
    (tmp_path / "a.yaml").write_text(service("shop"))
    reader.look()
    before = reader.state.objects
    (tmp_path / "a.yaml").rename(tmp_path / "z.yaml")
    assert reader.look() is None
    assert reader.state.objects == before
    assert list(reader.state.files) == ["z.yaml"]
