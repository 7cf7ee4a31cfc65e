"""What the engine lets others see. Written by the engine only, read by pages, metrics and tests on the same loop."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field

from nodegate.model.objects import Object
from nodegate.model.problem import Problem
from nodegate.model.refs import Ref
from nodegate.snapshot.target import Target

SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
"""Upper bounds of the buckets in which durations are counted."""


class Durations:
    """A histogram of durations in seconds, with the last one."""

    def __init__(self, bounds: tuple[float, ...] = SECONDS) -> None:
        """Count in buckets with these upper bounds, and one above."""
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0
        self.last = 0.0

    @property
    def count(self) -> int:
        """How many durations were observed."""
        return sum(self.counts)

    def observe(self, seconds: float) -> None:
        """Count one duration."""
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.total += seconds
        self.last = seconds


@dataclass(frozen=True, slots=True)
class Replica:
    """This replica of a control plane that writes to a cluster.

    ``name`` is its own, ``holder`` that of the replica that holds the Lease (``namespace/name``), empty when nobody
    does. ``trouble`` says why the Lease cannot be read or renewed, if so.
    """

    name: str
    lease: str
    holder: str
    leads: bool
    trouble: str


@dataclass(slots=True)
class State:
    """The engine's state as of its last event.

    ``synced`` says that the source has listed everything; before that, ``stale`` says that what an earlier run kept is
    served meanwhile. ``sequence`` counts the source's batches whose effect is published; ``published`` is when the
    current target was (Unix seconds, 0 before the first). ``listeners`` are all that are wanted, ``ports`` those that
    have one. ``sources`` is what is wrong with the source's own material, ``problems`` what translation, the ports and
    the engine say, by object. ``held`` counts resources that wait for the next batch.
    """

    synced: bool = False
    stale: bool = False
    sequence: int = 0
    published: float = 0.0
    publications: int = 0
    target: Target = field(default_factory=Target)
    objects: Mapping[Ref, Object] = field(default_factory=dict)
    ports: Mapping[str, int] = field(default_factory=dict)
    listeners: Mapping[str, int] = field(default_factory=dict)
    sources: tuple[Problem, ...] = ()
    problems: Mapping[Ref, tuple[Problem, ...]] = field(default_factory=dict)
    held: int = 0
    pending: int = 0
    changes: int = 0
    fast: int = 0
    internal_errors: int = 0
    translate: Durations = field(default_factory=Durations)

    def all_problems(self) -> tuple[Problem, ...]:
        """Return every problem, those of the source first, then by object."""
        found = [problem for ref in sorted(self.problems) for problem in self.problems[ref]]
        return (*self.sources, *found)
