"""Claims survive a restart, also a bad one."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from nodegate.errors import StateError
from nodegate.ports import Claims, PortStore, Rest


@pytest.fixture
def store(tmp_path: Path) -> PortStore:
    return PortStore(tmp_path / "state")


def test_what_was_kept_is_loaded(store: PortStore) -> None:
    """Claims and rests are the same after a restart."""
    store.save(Claims(claims={"shop/web/http": 10_007}, resting=[Rest(10_009, "shop/old/http", 12.5)]))
    claims = store.load()
    assert claims.ports == {"shop/web/http": 10_007}
    assert claims.resting == (Rest(10_009, "shop/old/http", 12.5),)


def test_without_a_file_there_are_no_claims(store: PortStore) -> None:
    """A first start is no error."""
    assert store.load().ports == {}
    assert store.set_aside is None


def test_the_file_is_for_its_owner_only(store: PortStore) -> None:
    """It names every Ingress of the cluster."""
    store.save(Claims())
    assert stat.S_IMODE(store.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(store.path.parent.stat().st_mode) == 0o700


def test_a_crash_while_writing_leaves_the_old_file(store: PortStore) -> None:
    """The new file is written beside the old one and takes its place in one step."""
    store.save(Claims(claims={"shop/web/http": 10_007}))
    store.path.with_suffix(".new").write_text('{"version": 1, "cla')
    assert store.load().ports == {"shop/web/http": 10_007}
    store.save(Claims(claims={"shop/web/http": 10_008}))
    assert store.load().ports == {"shop/web/http": 10_008}
    assert not store.path.with_suffix(".new").exists()


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"version": 1}', '{"version": 1, "claims": {"a": "b"}}', "\0\0\0"], ids=repr
)
def test_a_damaged_file_is_set_aside_and_ports_come_from_the_names(store: PortStore, content: str) -> None:
    """Nearly every port follows from its listener's name: starting is better than not starting."""
    store.path.parent.mkdir()
    store.path.write_text(content)
    assert store.load().ports == {}
    assert store.set_aside is not None
    assert store.set_aside.read_text() == content
    assert not store.path.exists()


def test_a_file_of_a_newer_version_is_left_alone(store: PortStore) -> None:
    """Overwriting it would throw away what a newer nodegate knows."""
    store.path.parent.mkdir()
    store.path.write_text(json.dumps({"version": 2, "something": "else"}))
    with pytest.raises(StateError, match=r"version 2.*reads version 1"):
        store.load()
    assert store.path.exists()


def test_a_file_that_cannot_be_read_is_an_error_that_names_it(store: PortStore) -> None:
    """Going on without the claims would move listeners."""
    store.path.mkdir(parents=True)
    with pytest.raises(StateError, match=r"ports\.json"):
        store.load()


def test_a_file_that_cannot_be_written_is_an_error_that_names_it(tmp_path: Path) -> None:
    """The message says what happens otherwise."""
    (tmp_path / "state").write_text("not a folder")
    with pytest.raises(StateError, match=r"ports\.json: .* may change at the next restart"):
        PortStore(tmp_path / "state").save(Claims())
