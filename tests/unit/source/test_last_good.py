"""The last good objects survive a restart, readable by their owner alone."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from nodegate.model.objects import Object
from nodegate.source.files.last_good import LastGood
from nodegate.source.files.state import FolderState
from tests.unit.source.manifests import SEED, TLS_SECRET, service

EVERYTHING = "\n---\n".join(
    [
        SEED.replace("default}", "default, creationTimestamp: 2026-01-31T12:00:00Z, labels: {a: b}, uid: u}"),
        service("shop"),
        "{apiVersion: networking.k8s.io/v1, kind: IngressClass, metadata: {name: n}, spec: {controller: a.b/c}}",
        """
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: a}
addressType: IPv4
endpoints: [{addresses: [10.0.0.1], conditions: {ready: false}}]
ports: [{port: 80}]
""",
        "{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: b}, addressType: FQDN}",
        "{apiVersion: v1, kind: Namespace, metadata: {name: n}}",
        "{apiVersion: v1, kind: Node, metadata: {name: n}, status: {addresses: [{type: InternalIP, address: '::1'}]}}",
    ]
)


def folder_state(**files: str) -> FolderState:
    """Return a folder with these files."""
    return FolderState().apply({f"{name}.yaml": content.encode() for name, content in files.items()})


def objects(last_good: LastGood) -> dict[str, list[Object]]:
    """Return what was kept, by path."""
    return {path: list(found.values()) for path, found in last_good.load().items()}


def test_every_kind_of_object_comes_back_as_it_was(tmp_path: Path) -> None:
    state = folder_state(a=EVERYTHING)
    assert not state.problems
    assert len(state.objects) == 7
    LastGood(tmp_path, Path("m")).store(state.files)
    assert LastGood(tmp_path, Path("m")).load() == {"a.yaml": dict(state.objects)}


def test_a_broken_file_starts_with_its_last_good_objects(tmp_path: Path) -> None:
    LastGood(tmp_path, Path("m")).store(folder_state(a=service("shop"), b=SEED).files)
    restored = FolderState().restored(LastGood(tmp_path, Path("m")).load())
    found = restored.apply({"a.yaml": b"a: [", "b.yaml": None})
    assert [ref.name for ref in found.objects] == ["shop"]
    assert "stays in use" in found.problems[0].message


def test_an_object_that_was_broken_before_the_restart_is_kept_beside_newer_ones(tmp_path: Path) -> None:
    """What is kept is objects, not files: of a file that is half good, the good half is new and the bad one old."""
    last_good = LastGood(tmp_path, Path("m"))
    state = folder_state(a=service("shop", 80) + "---\n" + service("cart", 80))
    last_good.store(state.files)
    state = state.apply({"a.yaml": (service("shop", 0) + "---\n" + service("cart", 81)).encode()})
    last_good.store(state.files)
    assert FolderState().restored(LastGood(tmp_path, Path("m")).load()).apply({"a.yaml": b"["}).objects == state.objects


def test_files_and_folder_are_for_their_owner_alone(tmp_path: Path) -> None:
    LastGood(tmp_path / "state", Path("m")).store(folder_state(a=SEED).files)
    folder = tmp_path / "state" / "last-good"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert [stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()] == [0o600]


def test_secrets_are_not_written_unless_that_is_asked_for(tmp_path: Path) -> None:
    state = folder_state(a=TLS_SECRET + "---\n" + service("shop"))
    LastGood(tmp_path, Path("m")).store(state.files)
    (written,) = (tmp_path / "last-good").iterdir()
    assert "tls.key" not in written.read_text()
    assert "shop" in written.read_text()
    LastGood(tmp_path, Path("m"), keep_secrets=True).store(state.files)
    assert len(objects(LastGood(tmp_path, Path("m"), keep_secrets=True))["a.yaml"]) == 2


def test_a_secret_kept_once_is_not_used_when_that_is_no_longer_asked_for(tmp_path: Path) -> None:
    LastGood(tmp_path, Path("m"), keep_secrets=True).store(folder_state(a=TLS_SECRET).files)
    again = LastGood(tmp_path, Path("m"))
    assert objects(again) == {"a.yaml": []}
    again.store(folder_state(a=TLS_SECRET).files)
    assert list((tmp_path / "last-good").iterdir()) == []


def test_a_file_that_is_gone_is_forgotten(tmp_path: Path) -> None:
    last_good = LastGood(tmp_path, Path("m"))
    state = folder_state(a=SEED, b=service("shop"))
    last_good.store(state.files)
    last_good.store(state.apply({"a.yaml": None, "b.yaml": b"# empty now"}).files)
    assert list((tmp_path / "last-good").iterdir()) == []


def test_a_file_that_went_while_nobody_looked_is_forgotten(tmp_path: Path) -> None:
    LastGood(tmp_path, Path("m")).store(folder_state(a=SEED).files)
    again = LastGood(tmp_path, Path("m"))
    again.load()
    again.store(folder_state(b=service("shop")).files)
    assert list(objects(LastGood(tmp_path, Path("m")))) == ["b.yaml"]


def test_only_what_changed_is_written(tmp_path: Path) -> None:
    last_good = LastGood(tmp_path, Path("m"))
    state = folder_state(a=SEED, b=service("shop"))
    last_good.store(state.files)
    inodes = {file.name: file.stat().st_ino for file in (tmp_path / "last-good").iterdir()}
    last_good.store(state.apply({"b.yaml": service("shop", 81).encode()}).files)
    changed = {name for name, inode in inodes.items() if (tmp_path / "last-good" / name).stat().st_ino != inode}
    assert len(changed) == 1


def test_objects_of_another_folder_are_not_taken_for_this_ones(tmp_path: Path) -> None:
    LastGood(tmp_path, Path("m")).store(folder_state(a=SEED).files)
    assert LastGood(tmp_path, Path("other")).load() == {}


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"\xff", b'{"metadata": 5}', b'{"metadata": {"annotations": {}}}']
)
def test_a_file_that_was_cut_short_is_passed_over(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "last-good").mkdir()
    (tmp_path / "last-good" / "x.json").write_bytes(content)
    assert LastGood(tmp_path, Path("m")).load() == {}


def test_a_state_folder_that_is_not_there_yet_holds_nothing(tmp_path: Path) -> None:
    assert LastGood(tmp_path / "not" / "yet", Path("m")).load() == {}
