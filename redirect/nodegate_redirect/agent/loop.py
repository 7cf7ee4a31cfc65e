"""Where everything meets: what is asked for, what the node is like, and what the kernel holds.

Four things can happen, one at a time: the control plane said something, the kernel said that the node changed, it is
time to look again at what the kernel does not tell (sockets that listen, what strangers flush), or the kernel refused
something and is asked again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

import structlog

from nodegate_redirect.agent.following import Following
from nodegate_redirect.agent.kernel import Kernel, Outcome
from nodegate_redirect.agent.pace import Pace
from nodegate_redirect.agent.watching import watching
from nodegate_redirect.contract import Place
from nodegate_redirect.mode import Count

log = structlog.get_logger(__name__)

T = TypeVar("T")

_SHOWN = 20


class Peer(Protocol):
    """Who wants to know what became of what it asked for."""

    def settle(self, sequence: int, problems: Mapping[str, str], refused: str = "") -> None:
        """Take in what the kernel does not hold of what was asked for as of ``sequence``: name -> why not.

        With ``refused`` it was not brought to it at all.
        """


@dataclass(slots=True)
class Status:
    """What the agent lets others see.

    ``outcome`` is the last one, ``problems`` says of each redirect that is not installed as asked why. ``repairs``
    counts comparisons that found something to change, ``refusals`` what the kernel refused.
    """

    outcome: Outcome = field(default_factory=Outcome)
    problems: Mapping[str, str] = field(default_factory=dict)
    ready: bool = False
    applications: int = 0
    repairs: int = 0
    refusals: int = 0
    last_seconds: float = 0.0


class Loop:
    """Brings the kernel to what is asked for, again and again. All that blocks runs in one thread of its own."""

    def __init__(self, kernel: Kernel, following: Following) -> None:
        self.status = Status()
        self._kernel = kernel
        self._following = following
        self._thread = ThreadPoolExecutor(1, "kernel")
        self._woken = asyncio.Event()
        self._pace = Pace()
        self._settled = -1
        self._bringing = False

    def wake(self) -> None:
        """Say that there is something new in what is asked for."""
        self._woken.set()

    async def run(self, peer: Peer) -> None:
        """Go on until cancelled. What is in the kernel stays there."""
        with self._thread, watching(self._on_node, self._on_rules) as forget:
            while True:
                if self._following.heard:
                    await self._round(peer, forget)
                await self._next()

    async def counters(self) -> tuple[Mapping[Place, Count], Mapping[str, int]]:
        """Return what the kernel counted: for each place, and else."""
        return await self._do(self._kernel.counters)

    async def _next(self) -> None:
        """Wait until there is something to do."""
        due = self._pace.next() if self._following.heard else None
        try:
            async with asyncio.timeout_at(due):
                await self._woken.wait()
        except TimeoutError:
            pass
        self._woken.clear()

    def _on_node(self) -> None:
        if not self._bringing:  # then it is our own doing
            self._pace.node_changed()
            self._woken.set()

    def _on_rules(self) -> None:
        if not self._bringing:
            self._pace.rules_changed()
            self._woken.set()

    async def _round(self, peer: Peer, forget: Callable[[], None]) -> None:
        """Bring the kernel to what is asked for, having looked at the node as far as it is time for that."""
        clock = asyncio.get_running_loop().time
        news, sequence, start = self._following.take_news(), self._following.sequence, clock()
        look, compare = start >= self._pace.next_look, start >= self._pace.next_compare
        self._bringing = True
        try:
            outcome = await self._do(lambda: self._kernel.bring(news, look=look, compare=compare))
        finally:
            forget()
            self._bringing = False
        whole, waiting = look or outcome.compared, bool(outcome.plan.waiting)
        comparing = outcome.seconds if outcome.compared else 0.0
        self._pace.looked(clock(), outcome.looking, whole=whole, waiting=waiting, comparing=comparing)
        if self._has_news(outcome) or sequence != self._settled:
            self._note(outcome, clock())
            self._settled = sequence
            peer.settle(sequence, self.status.problems, _refused(outcome))

    def _has_news(self, outcome: Outcome) -> bool:
        before = self.status.outcome
        return outcome.compared or bool(outcome.error) or bool(outcome.changes) or outcome.plan is not before.plan

    def _note(self, outcome: Outcome, now: float) -> None:
        status = self.status
        first, before, status.outcome = not status.applications, status.outcome, outcome
        status.applications += 1
        status.last_seconds = outcome.seconds
        if outcome.error:
            status.refusals += 1
            self._pace.failed(now)
            if outcome.error != before.error:
                log.error("The kernel refused the redirects; it is asked again.", why=outcome.error)
            return
        status.ready = True
        problems, known = {**outcome.plan.conflicts, **outcome.plan.waiting, **self._following.refused}, status.problems
        status.problems = problems
        _tell(problems, known)
        if outcome.compared:
            self._pace.compared(now, outcome.seconds)
        status.repairs += outcome.repaired and not first
        if outcome.changes:
            log.info("Redirects changed.", changes=outcome.changes[:_SHOWN], seconds=round(outcome.seconds, 4))

    async def _do(self, what: Callable[..., T], *arguments: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, what, *arguments)


def _tell(problems: Mapping[str, str], known: Mapping[str, str]) -> None:
    """Log what is new about redirects that are not installed as asked."""
    new = [name for name, why in problems.items() if known.get(name) != why]
    if new:
        shown = {name: problems[name] for name in sorted(new)[:_SHOWN]}
        log.info("Redirects are not installed as asked.", number=len(problems), why=shown)
    elif known and not problems:
        log.info("All redirects are installed.")


def _refused(outcome: Outcome) -> str:
    return f"kernel refused: {outcome.error}" if outcome.error else ""
