"""Things to look at: by a few workers, never twice at once, and again where they failed."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest

from nodegate.status.work import LONGEST_PAUSE, WORKERS, Work
from tests.unit.status.cluster import done

pytestmark = pytest.mark.looptime


def now() -> float:
    return asyncio.get_running_loop().time()


async def test_some_are_worked_on_together_and_none_twice_at_once() -> None:
    """What is added while it is worked on is worked on again after that."""
    busy: list[int] = []
    most = 0

    async def do(key: int) -> bool:
        nonlocal most
        assert key not in busy
        busy.append(key)
        most = max(most, len(busy))
        work.add([key] if now() == 0 and key == 3 else [])
        await asyncio.sleep(1)
        busy.remove(key)
        return True

    work = Work(do)
    work.add(range(2 * WORKERS))
    work.add(range(2 * WORKERS))
    await done(work)
    assert most == WORKERS
    assert now() == pytest.approx(3.0, abs=0.1)


async def test_what_fails_is_tried_again_later_and_later() -> None:
    """After half a second, one, two, and so on up to half a minute; everything else goes on meanwhile."""
    tried: list[float] = []
    others: list[float] = []

    async def do(key: str) -> bool:
        (tried if key == "bad" else others).append(now())
        return key != "bad" or len(tried) > 10

    work = Work(do)
    work.add(["bad", "good"])
    await done(work)
    pauses = [after - before for before, after in pairwise(tried)]
    assert pauses[:4] == pytest.approx([0.5, 1.0, 2.0, 4.0], abs=0.01)
    assert max(pauses) == pytest.approx(LONGEST_PAUSE, abs=0.01)
    assert others == [0.0]


async def test_what_waits_for_its_turn_is_looked_at_once_then_however_often_that_was_said() -> None:
    """A thousand events of one object meanwhile are one look, and not a thousand."""
    looks: list[float] = []

    async def do(_key: str) -> bool:
        looks.append(now())
        return True

    work: Work[str] = Work(do)
    for _ in range(1_000):
        work.later("a", 5.0)
    assert len(work) == 1
    await done(work)
    assert looks == [5.0]
