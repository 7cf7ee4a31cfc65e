"""What decides on ports, as the engine sees it, and what a decision says to the rest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from nodegate.model.changes import Claimed, ObjectChange
from nodegate.model.generated_service import SERVICE_PORTS
from nodegate.model.problem import Problem
from nodegate.model.refs import Kind, Ref


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one call changed: claims for translation, and per object its problems (an empty tuple: none any more)."""

    claims: tuple[Claimed, ...] = ()
    problems: Mapping[Ref, tuple[Problem, ...]] = field(default_factory=dict)


class Ports(Protocol):
    """Who decides on ports, as the engine sees it: by itself, or by what is written in a cluster."""

    revision: int
    """Grows with everything that has to be kept; what is equal need not be written again."""

    @property
    def ports(self) -> Mapping[str, int]:
        """The port of each listener that has one."""

    @property
    def has_news(self) -> bool:
        """Whether something was observed that the next call of :meth:`change` has to decide on."""

    def reads(self, change: ObjectChange) -> bool:
        """Whether a change is of an object on which ports are written, and which is there for nothing else."""

    def observe(self, changes: Iterable[ObjectChange]) -> None:
        """Take note of objects on which ports are written."""

    def settle(self, wanted: Iterable[str], now: float) -> Outcome:
        """After the first listing: these are all listeners that want a port. ``now`` is in Unix seconds."""

    def change(self, wanted: Mapping[str, object | None], now: float) -> Outcome:
        """Listeners want a port, or do not any more (their value is None)."""

    def refuse(self, listener: str, port: int, node: str, now: float) -> Outcome:
        """A node cannot use the port of a listener: it gets another, and never this one again."""

    def retry(self, now: float) -> Outcome:
        """Try again for the listeners that wait."""

    def next_wake(self) -> float | None:
        """Return when a waiting listener might get a port that rests now (Unix seconds); None when none waits."""


def frontend_of_listener(listener: str) -> str:
    """Return what a listener's name begins with: ``default/basic-ingress`` of ``default/basic-ingress/http``."""
    return listener.rpartition("/")[0]


def listeners_of_frontend(frontend: str) -> tuple[str, ...]:
    """Return the names of all listeners that a frontend can have."""
    return tuple(f"{frontend}/{scheme}" for scheme in SERVICE_PORTS)


def owner_of(listener: str) -> Ref:
    """Return the Ingress a listener's name starts with (``default/basic-ingress/http``; DESIGN 5)."""
    namespace, slash, name = frontend_of_listener(listener).rpartition("/")
    return Ref(Kind.INGRESS, namespace, name) if slash else Ref(Kind.INGRESS, "", name)


def listeners_of(owner: Ref) -> tuple[str, ...]:
    """Return the names of all listeners that an Ingress can have; the inverse of :func:`owner_of`."""
    return listeners_of_frontend(f"{owner.namespace}/{owner.name}" if owner.namespace else owner.name)
