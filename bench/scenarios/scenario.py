"""What a scenario is: a question, who is asked, and one repetition of the measurement."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bench.servers import FLOOR, LINEAR, NODEGATE, SNAPSHOT

EVERYONE = (FLOOR, NODEGATE, SNAPSHOT, LINEAR)


@dataclass(frozen=True, slots=True)
class Figure:
    """One column: its key in what a repetition returns, its heading, and how a value is printed."""

    key: str
    heading: str
    form: str = "{:.0f}"


@dataclass(frozen=True, slots=True)
class Scenario:
    """A question. ``measure(server, scale)`` makes one repetition; ``scale`` 1.0 is full size.

    ``repetitions`` bounds how often, where one repetition takes long and is a mean of many changes already.
    """

    name: str
    title: str
    figures: tuple[Figure, ...]
    measure: Callable[[str, float], Mapping[str, float]]
    servers: tuple[str, ...] = EVERYONE
    repetitions: int = 100


CHANGE_FIGURES = (
    Figure("p50_ms", "p50 ms"),
    Figure("p99_ms", "p99 ms"),
    Figure("cpu_s", "server CPU s", "{:.3f}"),
    Figure("peak_mb", "server memory MB"),
)


def scaled(count: int, scale: float) -> int:
    """Return a count at a scale, at least 10."""
    return max(10, round(count * scale))
