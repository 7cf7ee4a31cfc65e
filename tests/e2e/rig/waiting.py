"""Wait for what has to come true soon, and say what was seen instead when it does not."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(look: Callable[[], T], *, within: float = 10.0, every: float = 0.02, what: str = "") -> T:
    """Return the first true value of ``look``; an assertion that fails or a refused connection counts as "not yet".

    Raises AssertionError after ``within`` seconds, with what was seen last.
    """
    deadline = time.monotonic() + within
    while True:
        seen: object
        try:
            seen = value = look()
            if value:
                return value
        except (AssertionError, OSError) as not_yet:
            seen = not_yet
        if time.monotonic() > deadline:
            raise AssertionError(f"{what or 'it'} did not come true within {within:g} s; seen last: {seen!r}")
        time.sleep(every)
