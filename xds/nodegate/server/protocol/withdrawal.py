"""Redirect first, then the listener: how long a listener stays after its traffic was led away (redirect 3, DESIGN 3.3).

A socket closes the moment Envoy hears that its listener goes, and until then every node has to have stopped sending it
traffic. Which replica a node's agent is connected to, nobody knows. So each stream keeps the listener for a while, and
for less when the agent of the same node has acknowledged, to this replica, that the redirect is gone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from nodegate.server.protocol.agenda import Hold
from nodegate.server.protocol.ledger import Reported
from nodegate.server.protocol.type_state import TypeState
from nodegate.snapshot.target import Target
from nodegate.snapshot.type_urls import LISTENER, REDIRECT

Agents = tuple[TypeState | None, ...]
"""What the agents of a node said of redirects; None for one that has not asked for them yet."""


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """Which redirects led to a listener and do not any more, and when the last of them changed."""

    since: float
    redirects: frozenset[str]


class Withdrawals:
    """What targets withdrew: shared by all streams of a replica, which tell it of every target they look at.

    ``grace``, in seconds, is how long a node's agent may take that this replica does not hear of. ``agents`` finds
    those of a node that are connected here.
    """

    def __init__(self, grace: float, agents: Callable[[str], Iterable[TypeState | None]] = lambda _node: ()) -> None:
        self.grace = grace
        self._agents = agents
        self._target: Target | None = None
        self._started = 0.0
        self._by_listener: dict[str, Withdrawal] = {}
        self._left_by: dict[str, set[str]] = {}

    @property
    def pending(self) -> bool:
        """Whether there is anything that an agent may still have to hear of."""
        return bool(self._by_listener)

    def get(self, listener: str) -> Withdrawal | None:
        """Return what led to a listener; None where nothing ever did, or that is long ago."""
        return self._by_listener.get(listener)

    def unknown_until(self) -> float:
        """Return until when a listener of before this replica's start may still have a redirect on some node."""
        return self._started + self.grace

    def on_target(self, target: Target, now: float) -> None:
        """Note which listeners lost their last redirect with this target; a stream may be behind others."""
        old = self._target
        if old is not None and target.serial <= old.serial:
            return
        self._target = target
        if old is None:
            self._started = now
        else:
            changed = target.changed_since(old.serial)
            everything = {*old.of_type(REDIRECT), *target.of_type(REDIRECT)}
            for name in everything if changed is None else changed.get(REDIRECT, ()):
                self._compare(name, old, now)
            self._forget(target, now)

    def _compare(self, redirect: str, old: Target, now: float) -> None:
        """Note what a redirect leads to no more. Each change of it is one that the agents have to hear of."""
        left = self._left_by.get(redirect, set()) | _listeners(old, redirect)
        if left:
            self._left_by[redirect] = left
        for listener in left:
            known = self._by_listener.get(listener)
            redirects = known.redirects if known is not None else frozenset[str]()
            self._by_listener[listener] = Withdrawal(now, redirects | {redirect})

    def _forget(self, target: Target, now: float) -> None:
        """Forget what is over: redirects that lead to a listener again, and a listener that is long gone."""
        redirects = target.of_type(REDIRECT)
        for listener, one in list(self._by_listener.items()):
            over = one.since + self.grace <= now and redirects.keys().isdisjoint(one.redirects)
            done = {name for name in one.redirects if over or listener in _listeners(target, name)}
            for redirect in done:
                self._drop(redirect, listener)
            if left := one.redirects - done:
                self._by_listener[listener] = Withdrawal(one.since, left)
            else:
                del self._by_listener[listener]

    def _drop(self, redirect: str, listener: str) -> None:
        left = self._left_by[redirect]
        left.discard(listener)
        if not left:
            del self._left_by[redirect]

    def agents(self, node: str) -> Agents:
        """Return the agents of a node that are connected to this replica; none of a node without a name."""
        return tuple(self._agents(node)) if node else ()


def _listeners(target: Target, redirect: str) -> frozenset[str]:
    entry = target.get(REDIRECT, redirect)
    return frozenset(name for type_url, name in entry.refs if type_url == LISTENER) if entry else frozenset()


def _all_have_heard(agents: Agents, redirects: Iterable[str], target: Target) -> bool:
    """Return whether the agents of a node, at least one, have acknowledged what became of these redirects."""
    return bool(agents) and all(_has_heard(agent, redirects, target) for agent in agents)


def _has_heard(agent: TypeState | None, redirects: Iterable[str], target: Target) -> bool:
    if agent is None or not agent.has_answered:
        return False
    return all(_is_settled(agent, name, target) for name in redirects)


def _some_wait(agents: Agents, redirects: Iterable[str], target: Target) -> bool:
    """Return whether an agent of the node says that it has not led traffic over to where these redirects lead now."""
    entries = [entry for name in redirects if (entry := target.get(REDIRECT, name)) is not None]
    return any(agent is not None and agent.postpones(one.name, one.version) for agent in agents for one in entries)


def _is_settled(agent: TypeState, redirect: str, target: Target) -> bool:
    entry, held = target.get(REDIRECT, redirect), agent.may_hold(redirect)
    if entry is None:
        return not held
    return bool(held) and all(one.version == entry.version for one in held)


class Departures:
    """The listeners that leave one stream."""

    def __init__(self, withdrawals: Withdrawals) -> None:
        self._withdrawals = withdrawals
        self._replaced: dict[str, float] = {}

    def agents(self, listeners: TypeState) -> Agents:
        """Return the agents of the client's node; to be asked once for each look, as there may be many clients."""
        return self._withdrawals.agents(listeners.facts.node)

    def hold(self, listener: str, listeners: TypeState, agents: Agents, target: Target, now: float) -> Hold | None:
        """Return why a listener that the target no longer has must not be removed yet, or None."""
        withdrawal = self._withdrawals.get(listener)
        if withdrawal is None:
            self._replaced.pop(listener, None)
            return self._of_before(listener, listeners, now)
        if hold := _unreplaced(withdrawal, listeners, target):
            return hold
        replaced = self._replaced.setdefault(listener, now)
        until = max(withdrawal.since, replaced) + self._withdrawals.grace
        if until <= now and _some_wait(agents, withdrawal.redirects, target):
            until = now + self._withdrawals.grace  # to look again; the agent may be gone by then
        if until <= now or _all_have_heard(agents, withdrawal.redirects, target):
            del self._replaced[listener]
            return None
        reason = "keeps its socket until the node's agent has led its traffic away"
        return Hold(reason, until)

    def _of_before(self, listener: str, listeners: TypeState, now: float) -> Hold | None:
        """Wait for the agents after a restart: what the client holds from before may have had a redirect."""
        until = self._withdrawals.unknown_until()
        unknown = any(isinstance(held, Reported) for held in listeners.may_hold(listener))
        reason = "keeps its socket for a moment: the node's agent may not have heard of it yet"
        return Hold(reason, until) if unknown and until > now else None


def _unreplaced(withdrawal: Withdrawal, listeners: TypeState, target: Target) -> Hold | None:
    """Wait for the listener that its redirects lead to now: a port that moves has both for a while (redirect 5)."""
    for redirect in sorted(withdrawal.redirects):
        for successor in sorted(_listeners(target, redirect)):
            if target.get(LISTENER, successor) is not None and listeners.ledger.get(successor) is None:
                return Hold(f"keeps its socket until listener {successor} has taken its place")
    return None
