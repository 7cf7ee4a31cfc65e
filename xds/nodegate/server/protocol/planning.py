"""What one type of one stream sends next: the difference between the target and what the client holds."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType

from msgspec import Struct

from nodegate.server.protocol.agenda import Hold
from nodegate.server.protocol.gate import Gate
from nodegate.server.protocol.ledger import Reported
from nodegate.server.protocol.response import Framing
from nodegate.server.protocol.resumption import resume
from nodegate.server.protocol.shared import SharedUpdate
from nodegate.server.protocol.sharing import passes, pending_update, share_target
from nodegate.server.protocol.subscription import WILDCARD
from nodegate.server.protocol.type_state import TypeState
from nodegate.snapshot.resource import Resource
from nodegate.snapshot.target import Target

STALE = Hold("the target is from an earlier run; nothing is removed before the sources have been read")

_MOST_NEWS = 16
"""How many changes of the target may pile up, by reference, while the client owes an answer."""


class Plan(Struct, frozen=True):
    """What could be sent now. ``updates`` may be empty where a ``reply`` is owed all the same."""

    updates: Mapping[str, Resource | None] = MappingProxyType({})
    reply: bool = False
    shared: SharedUpdate | None = None

    def __bool__(self) -> bool:
        """Return whether there is anything to send."""
        return bool(self.updates or self.reply)


def look(state: TypeState, target: Target, framing: Framing, *, share: bool) -> bool:
    """Take in what the client reported and what changed in the target; return whether there is something to plan."""
    resume(state, target)
    agenda, state.pending = state.agenda, None
    if state.outstanding is not None:
        if agenda.everything or len(agenda.news) > _MOST_NEWS:
            _flush(state, target)
        return False
    if agenda:
        state.pending = pending_update(state, target, framing) if share else None
        if state.pending is None:
            _flush(state, target)
    if state.pending is not None or agenda.dirty or agenda.leaving or agenda.reply:
        return True
    share_target(state, target)
    return False


def _flush(state: TypeState, target: Target) -> None:
    """Turn what changed in the target into names to look at."""
    agenda, subscription = state.agenda, state.subscription
    state.pending = None
    if agenda.everything:
        agenda.everything = False
        agenda.look_at(subscription.names)
        agenda.look_at(state.ledger.names())
        agenda.look_at(state.refused)
        if subscription.wildcard:
            agenda.look_at(target.of_type(state.type_url))
    for changed in agenda.news:
        agenda.look_at(changed if subscription.wildcard else (name for name in changed if name in subscription.names))
    agenda.news.clear()


def plan_updates(state: TypeState, target: Target, gate: Gate, now: float) -> Plan:
    """Return what could be sent now. Names that need nothing are looked at no more; those that wait stay."""
    if state.outstanding is not None or _is_stuck(state, target) or _would_remove(state, target, now):
        return Plan()
    if state.pending is not None:
        shared = state.pending
        if not shared.gated or passes(state, shared, gate):
            return Plan(shared.sent, state.agenda.reply, shared)
        _flush(state, target)
    updates = _on_trial(state, target, gate, now) or _decided(state, sorted(state.agenda.dirty), target, gate, now)
    plan = Plan(updates, state.agenda.reply)
    if not plan:
        share_target(state, target)
    return plan


def plan_removals(state: TypeState, target: Target, gate: Gate, now: float) -> Mapping[str, None]:
    """Return what can be removed now. Where the variant cannot say so, it is only forgotten (17)."""
    if state.outstanding is not None or not state.agenda.leaving:
        return {}
    if state.stuck_at and target.of_type(state.type_url):
        return {}  # absence would delete what this client was not sent only because it refused the whole
    free = []
    for name in sorted(state.agenda.leaving):
        hold = gate.removal((state.type_url, name))
        if hold is None:
            free.append(name)
        else:
            state.agenda.wait(name, hold, now)
    for name in free:
        state.agenda.forget(name)
    if state.says_removed or state.whole_set:
        return dict.fromkeys(free)
    for name in free:
        state.ledger.put(name, None)
        state.refused.pop(name, None)
    return {}


def _is_stuck(state: TypeState, target: Target) -> bool:
    """Return whether the client has refused the very set that could be sent to it now."""
    if not state.stuck_at:
        return False
    entries = target.of_type(state.type_url).items()
    wanted = (entry.resolve(state.facts) for name, entry in entries if state.subscription.wants(name))
    refuses = state.rejections.refuses
    return sum(one.digest for one in wanted if not refuses(one.name, one.version)) in state.stuck_at


def _would_remove(state: TypeState, target: Target, now: float) -> bool:
    """Return whether a stale target must not be sent, because what it lacks would be removed (47).

    A state-of-the-world client that comes back may hold more, and absence deletes.
    """
    if target.stale and state.whole_set and state.resumed and not state.counters.sent:
        state.agenda.wait(WILDCARD, STALE, now)
        return True
    state.agenda.holds.pop(WILDCARD, None)
    return False


# --- name by name ----------------------------------------------------------------------------------------------------

Updates = dict[str, Resource | None]


def _on_trial(state: TypeState, target: Target, gate: Gate, now: float) -> Updates:
    """Decide on the names on trial, which are sent without any other; nothing when all of them wait or are settled."""
    while trial := state.rejections.trial and dict(state.rejections.trial):
        for name in trial:
            state.rejections.look_at(name, _version(state, target, name))
        if suspects := sorted(state.rejections.trial.keys() & trial):
            return _decided(state, suspects, target, gate, now)
    return {}


def _decided(state: TypeState, names: Collection[str], target: Target, gate: Gate, now: float) -> Updates:
    updates: Updates = {}
    for name in names:
        entry = target.get(state.type_url, name) if state.subscription.wants(name) else None
        if entry is None:
            _decide_absent(state, name, gate, updates, now)
        else:
            _decide(state, entry.resolve(state.facts), gate, updates, now)
    return updates


def _decide(state: TypeState, want: Resource, gate: Gate, updates: Updates, now: float) -> None:
    agenda, name = state.agenda, want.name
    agenda.leaving.discard(name)
    state.rejections.look_at(name, want.version)
    held, forced = state.ledger.get(name), name in agenda.forced
    if state.rejections.awaits_trial(name, want.version):
        return
    if state.postpones(name, want.version) and not forced:
        agenda.done(name)
    elif state.rejections.refuses(name, want.version):
        _keep_old(state, name, updates)
    elif held is not None and want.version == held.version and not forced and name not in state.refused:
        if isinstance(held, Reported):
            state.ledger.put(name, want)  # the same content, so now we know what it names
        agenda.done(name)
    elif hold := gate.update(want, held):
        agenda.wait(name, hold, now)
        if forced and isinstance(held, Resource):
            updates[name] = held  # the client asked; what it should have then comes when it may
            agenda.forced.discard(name)
    else:
        updates[name] = want
        agenda.done(name)


def _decide_absent(state: TypeState, name: str, gate: Gate, updates: Updates, now: float) -> None:
    """Decide on a name that the target does not have, or that the client dropped."""
    agenda, held, key = state.agenda, state.may_hold(name), (state.type_url, name)
    state.rejections.look_at(name, None)
    known = state.ledger.get(name)
    ours = known if isinstance(known, Resource) else None
    answer = ours or gate.stand_in(key)
    if name not in agenda.forced or not (state.says_removed or (answer and not state.whole_set)):
        agenda.done(name)
        if held:
            agenda.leave(name)
    elif hold := gate.removal(key, asked=ours is None) if held else None:
        if ours is not None:
            agenda.leave(name)
            updates[name] = ours  # the client asked; it goes when it may
        agenda.wait(name, hold, now)
    else:
        agenda.forget(name)
        updates[name] = None if state.says_removed else answer  # subscribed to, but there is none (29)


def _keep_old(state: TypeState, name: str, updates: Updates) -> None:
    """Leave the client what it holds, because it refused the target's content; answer with that if it asks.

    What it holds from an earlier stream cannot be sent, and must not be taken away either.
    """
    held = state.ledger.get(name)
    if name in state.agenda.forced:
        if isinstance(held, Resource):
            updates[name] = held
        elif held is None and state.says_removed:
            updates[name] = None
    state.agenda.done(name)


def _version(state: TypeState, target: Target, name: str) -> str | None:
    entry = target.get(state.type_url, name)
    return entry.resolve(state.facts).version if entry is not None and state.subscription.wants(name) else None
