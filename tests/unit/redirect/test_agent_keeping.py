"""What an agent keeps across restarts, and what it does with a file that it cannot use."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodegate.errors import StateError
from nodegate_redirect.agent.following import Following, Message
from nodegate_redirect.agent.keeping import FILE_NAME, VERSION, Keeper, StateFile, encode
from tests.unit.redirect.redirects import message

NAMES = ("default/web/80", "default/web/443", "shop/cart/80")


def told(names: tuple[str, ...] = NAMES) -> Following:
    """Return what an agent follows that was told of redirects of these names."""
    following = Following()
    following.take(Message("1", {name: (f"v-{name}", message(name).SerializeToString()) for name in names}))
    return following


@given(st.sets(st.sampled_from(NAMES)).map(lambda names: tuple(sorted(names))))
def test_what_is_kept_is_read_back_as_it_was(tmp_path_factory: pytest.TempPathFactory, names: tuple[str, ...]) -> None:
    """Also when that was nothing: then it is known that nothing is asked for, and the kernel may be emptied."""
    file = StateFile(tmp_path_factory.mktemp("state") / FILE_NAME)
    file.save(encode(told(names)))
    read = file.load()
    assert read.asked == told(names).asked
    assert read.heard


def test_without_a_file_nothing_was_heard_yet(tmp_path: Path) -> None:
    """And so nothing is removed from the kernel."""
    assert not StateFile(tmp_path / FILE_NAME).load().heard


@pytest.mark.parametrize(
    ("content", "beside", "complaint"),
    [
        (b'{"version": 99, "resources": "?"}', "redirects.other-version", "version 99, this agent reads 1"),
        (b'{"version": 0, "resources": []}', "redirects.other-version", "version 0, which no released nodegate wrote"),
        (b'{"version": 1, "resour', "redirects.damaged", "It is damaged"),
        (b'{"version": 1, "resources": [{"name": "a", "version": "", "body": "%"}]}', "redirects.damaged", "damaged"),
        (b'{"version": 1, "resources": [], "more": 1}', "redirects.damaged", "unknown field `more`"),
    ],
)
def test_a_file_that_cannot_be_used_is_set_aside_with_a_sentence(
    tmp_path: Path, content: bytes, beside: str, complaint: str
) -> None:
    """The control plane says it all again; until then the kernel stays as it is."""
    file = StateFile(tmp_path / FILE_NAME)
    file.path.write_bytes(content)
    assert not file.load().heard
    assert complaint in file.complaint
    assert "the redirects in the kernel stay as they are" in file.complaint
    assert (tmp_path / beside).read_bytes() == content
    assert not file.path.exists()


def test_a_folder_that_cannot_be_written_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_bytes(b"")
    with pytest.raises(StateError, match="Make the folder writable and give it space"):
        StateFile(blocked / FILE_NAME).save(b"")


async def test_changes_are_written_soon_and_the_last_one_when_the_agent_ends(tmp_path: Path) -> None:
    """Virtual time: a burst of messages is one write."""
    file = StateFile(tmp_path / FILE_NAME)
    keeper = Keeper(told(NAMES[:1]), file)
    running = asyncio.create_task(keeper.run())
    keeper.following.take(Message("2", {}, NAMES[:1]))
    keeper.wake()
    while not file.path.exists():  # noqa: ASYNC110  # a file says no word
        await asyncio.sleep(0.05)
    assert StateFile(file.path).load().asked == {}
    keeper.following.take(Message("3", {NAMES[1]: ("v", message(NAMES[1]).SerializeToString())}))
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert set(StateFile(file.path).load().asked) == {NAMES[1]}


def test_the_file_says_its_version() -> None:
    assert f'"version": {VERSION}'.encode() in encode(Following())
