"""Tells Problems as Events on the objects that caused them: each once, at a pace that an API server bears.

What ends within a moment is not told at all; what comes back, or stays for long, counts its Event up. The replica that
leads tells what follows from objects; what a stream showed, the replica that holds the stream (DESIGN 3.6).
"""

from __future__ import annotations

import asyncio
import time
from asyncio import TimerHandle, get_running_loop
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import msgspec
import structlog

from nodegate.errors import ClusterError
from nodegate.model.objects import Object
from nodegate.model.problem import Problem, Severity
from nodegate.model.refs import Ref
from nodegate.status.event import EventName, event_body, event_name, series_body
from nodegate.status.pace import Pace
from nodegate.status.requests import CONFLICT, NOT_FOUND, Requests
from nodegate.status.work import Work

log = structlog.get_logger(__name__)

STANDS_SECONDS = 2.0
"""A Problem is told when it has stood for so long: ``kubectl apply -f`` makes an Ingress before its Services."""
STILL_SECONDS = 1_800.0
"""A Problem that lasts is told again after this time: the API server forgets Events after an hour."""
_REMEMBERED = 10_000
_MERGE = "application/merge-patch+json"


@dataclass(slots=True)
class _Told:
    """What is known of an Event.

    ``count`` is how often it was told by all, 0: not known; ``at`` is when this process last told it or found it told.
    ``wait`` ends when the Problem has stood long enough to be told.
    """

    problem: Problem
    found: Object
    stands: bool = True
    count: int = 0
    due: bool = True
    at: float | None = None
    wait: TimerHandle | None = None


class _Series(msgspec.Struct):
    count: int = 1


class _Event(msgspec.Struct):
    series: _Series | None = None


@dataclass(slots=True)
class Teller:
    """Who tells: ``name`` is this replica, ``leads`` says whether it leads.

    ``seen_here`` are the codes of problems that streams show, which a replica tells of its own streams.
    """

    name: str
    leads: Callable[[], bool]
    seen_here: frozenset[str] = field(default_factory=frozenset)


class EventWriter:
    """Writes Events. :meth:`note` says what changed in an object's Problems."""

    def __init__(
        self,
        requests: Requests,
        teller: Teller,
        objects: Callable[[Ref], Object | None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """``objects`` finds the object of a Problem, ``clock`` gives Unix seconds."""
        self.work: Work[EventName] = Work(self._do)
        self._requests = requests
        self._teller = teller
        self._objects = objects
        self._clock = clock
        self._pace = Pace()
        self._told: dict[EventName, _Told] = {}
        self._of: dict[tuple[str, Ref], frozenset[EventName]] = {}

    def note(self, ref: Ref, problems: Iterable[Problem], origin: str = "") -> None:
        """These are all Problems of an object now, of those that have this origin."""
        found = self._objects(ref)
        worth = [one for one in problems if one.severity is not Severity.INFO]  # nobody has to do anything about INFO
        now = {event_name(one, found): one for one in worth} if found is not None else {}
        for name in self._of.pop((origin, ref), frozenset()) - now.keys():
            self._end(name)
        if found is None or not now:
            return
        self._of[origin, ref] = frozenset(now)
        for name, problem in now.items():
            self._stand(name, problem, found)

    def look_at_all(self) -> None:
        """This replica leads from now on: it tells what nobody has told."""
        self.work.add(name for name, told in self._told.items() if told.stands and told.due)

    async def repeat(self) -> None:
        """Tell what lasts again and again, until cancelled."""
        while True:
            await asyncio.sleep(STILL_SECONDS / 10)
            now = get_running_loop().time()
            late = [
                name
                for name, told in self._told.items()
                if told.stands and told.at is not None and now - told.at >= STILL_SECONDS
            ]
            for name in late:
                self._told[name].due = True
            self.work.add(late)

    def _stand(self, name: EventName, problem: Problem, found: Object) -> None:
        told = self._told.get(name)
        if told is None:
            self._forget_some()
            told = self._told[name] = _Told(problem, found)
        elif told.stands:
            return
        else:
            told.problem, told.stands, told.due = problem, True, True
        told.wait = get_running_loop().call_later(STANDS_SECONDS, self._stood, name, told)

    def _stood(self, name: EventName, told: _Told) -> None:
        told.wait = None
        self.work.add([name])

    def _end(self, name: EventName) -> None:
        told = self._told.get(name)
        if told is None:
            return
        if told.wait is not None:
            told.wait.cancel()
        told.stands, told.wait = False, None
        if told.at is None:
            del self._told[name]

    def _forget_some(self) -> None:
        if len(self._told) >= _REMEMBERED:
            over = [name for name, told in self._told.items() if not told.stands]
            for name in over[: len(over) // 2 + 1]:
                del self._told[name]

    # --- Telling -----------------------------------------------------------------------------------------------------

    async def _do(self, name: EventName) -> bool:
        told = self._told.get(name)
        if told is None or told.wait or not (told.stands and told.due and self._may_tell(told.problem)):
            return True
        now = get_running_loop().time()
        pause = self._pace.pause(told.problem.ref, now)
        if pause:
            self.work.later(name, pause)
            return True
        try:
            await self._tell(name, told)
        except ClusterError as error:
            log.warning("An Event on %s could not be written: %s", told.problem.ref, error)
            return error.status == NOT_FOUND  # its namespace goes
        told.due, told.at = False, now
        return True

    def _may_tell(self, problem: Problem) -> bool:
        return problem.code in self._teller.seen_here or self._teller.leads()

    async def _tell(self, name: EventName, told: _Told) -> None:
        if told.at is not None:
            await self._count_up(name, told)
            return
        body = event_body(name, told.problem, told.found, self._teller.name, self._clock())
        try:
            await self._requests.send("POST", name.collection, {}, body)
        except ClusterError as error:
            if error.status != CONFLICT:
                raise
            return  # it was told by another replica, or before a restart
        told.count = 1

    async def _count_up(self, name: EventName, told: _Told) -> None:
        try:
            told.count = (told.count or await self._known_count(name)) + 1
            await self._requests.send("PATCH", name.path, {}, series_body(told.count, self._clock()), _MERGE)
        except ClusterError as error:
            if error.status != NOT_FOUND:
                raise
            told.at = None  # the API server has forgotten it
            await self._tell(name, told)

    async def _known_count(self, name: EventName) -> int:
        """Return what the API server says: a patch of nothing is answered like any other, and takes no other right."""
        event = msgspec.json.decode(await self._requests.send("PATCH", name.path, {}, {}, _MERGE), type=_Event)
        return event.series.count if event.series else 1
