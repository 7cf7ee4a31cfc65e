"""What one type of one stream sends next: the difference between the target and what the client holds."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from nodegate.server.protocol.agenda import Hold
from nodegate.server.protocol.ledger import EMPTY, Held, Reported
from nodegate.server.protocol.response import Framing
from nodegate.server.protocol.shared import Reader, SharedUpdate, shared_update
from nodegate.server.protocol.subscription import WILDCARD
from nodegate.server.protocol.type_state import TypeState
from nodegate.snapshot.resource import Key, Resource
from nodegate.snapshot.target import Target
from nodegate.snapshot.type_urls import SECRET

STALE = Hold("the target is from an earlier run; nothing is removed before the sources have been read")

_MOST_NEWS = 16
"""How many changes of the target may pile up, by reference, while the client owes an answer."""


class Gate(Protocol):
    """Says why something has to wait for another type (``ordering``)."""

    def update(self, resource: Resource, held: Held | None) -> Hold | None:
        """Return why this resource must not be sent yet to a client that holds this, or None."""

    def removal(self, key: Key, *, asked: bool = False) -> Hold | None:
        """Return why this resource must not be removed yet, or None; ``asked`` where the client waits for an answer."""

    def stand_in(self, key: Key) -> Resource | None:
        """Return what to answer where the variant cannot say that something does not exist, or None: nothing."""


@dataclass(slots=True)
class Plan:
    """What could be sent now. ``updates`` may be empty where a ``reply`` is owed all the same."""

    updates: Mapping[str, Resource | None] = field(default_factory=dict)
    reply: bool = False
    shared: SharedUpdate | None = None

    def __bool__(self) -> bool:
        """Return whether there is anything to send."""
        return bool(self.updates or self.reply)


def look(state: TypeState, target: Target, framing: Framing, *, share: bool) -> bool:
    """Take in what the client reported and what changed in the target; return whether there is something to plan."""
    state.resume(target)
    state.pending = None
    if state.outstanding is None:
        state.pending = _pending(state, target, framing) if share else None
    behind = state.agenda.everything or state.outstanding is None or len(state.agenda.news) > _MOST_NEWS
    if state.pending is None and behind:
        state.flush(target)
    if state.outstanding is not None:
        return False
    agenda = state.agenda
    if state.pending is not None or agenda.dirty or agenda.leaving or agenda.reply:
        return True
    _share(state, target)
    return False


def plan_updates(state: TypeState, target: Target, gate: Gate, now: float) -> Plan:
    """Return what could be sent now. Names that need nothing are looked at no more; those that wait stay."""
    if state.outstanding is not None or _is_stuck(state, target) or _would_remove(state, target, now):
        return Plan()
    if state.pending is not None:
        shared = state.pending
        if not shared.gated or _passes(state, shared, gate):
            return Plan(shared.sent, state.agenda.reply, shared)
        state.flush(target)
    updates = _on_trial(state, target, gate, now) or _decided(state, sorted(state.agenda.dirty), target, gate, now)
    plan = Plan(updates, state.agenda.reply)
    if not plan:
        _share(state, target)
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


# --- as other streams ------------------------------------------------------------------------------------------------


def _pending(state: TypeState, target: Target, framing: Framing) -> SharedUpdate | None:
    """Return the update that this stream needs, if it is one that many streams share."""
    agenda, ledger = state.agenda, state.ledger
    if state.type_url == SECRET or ledger.own or state.refused or state.postponed or state.rejections or agenda.leaving:
        return None
    mapping = target.of_type(state.type_url)
    if _takes_all(state) or _asks_again_for_all(state, mapping):
        base = EMPTY
    elif _needs_only_news(state):
        base = ledger.base
    else:
        return None
    made = shared_update(target, Reader(state.type_url, framing, state.whole_set), base, ledger.serial, state.facts)
    if made is None or not made.sent:
        return None
    wanted = state.subscription.wildcard or all(name in state.subscription.names for name in made.sent)
    return made if wanted else None


def _takes_all(state: TypeState) -> bool:
    """Return whether a client that holds nothing takes everything."""
    agenda, subscription = state.agenda, state.subscription
    if state.ledger.base is not EMPTY or not subscription.wildcard or subscription.names:
        return False
    return agenda.everything and not agenda.dirty


def _asks_again_for_all(state: TypeState, mapping: Mapping[str, object]) -> bool:
    """Return whether exactly the names of this mapping were asked for by name, and have to be answered."""
    agenda, subscription = state.agenda, state.subscription
    if subscription.wildcard or agenda.everything or agenda.news or len(agenda.forced) != len(mapping):
        return False
    if state.ledger.base is not EMPTY and state.ledger.base is not mapping:
        return False
    return agenda.forced == agenda.dirty and mapping.keys() == agenda.forced


def _needs_only_news(state: TypeState) -> bool:
    """Return whether a client that holds its base, the whole of it, needs only what changed in the target."""
    agenda, subscription = state.agenda, state.subscription
    if state.ledger.base is EMPTY or not agenda.news or agenda.everything or agenda.dirty:
        return False
    return subscription.wildcard or subscription.names.is_whole_base


def _passes(state: TypeState, shared: SharedUpdate, gate: Gate) -> bool:
    """Return whether nothing of an update has to wait on this stream."""
    return all(gate.update(resource, state.ledger.get(name)) is None for name, resource in shared.sent.items())


def _share(state: TypeState, target: Target) -> None:
    """Hold the target's mapping by reference, with what this client asks for and holds otherwise beside it."""
    mapping, ledger, names = target.of_type(state.type_url), state.ledger, state.subscription.names
    named = not state.subscription.wildcard
    state.agenda.trim()
    if named and 2 * len(names) < len(mapping):
        return
    if ledger.base is not mapping:
        changes = target.changed_since(ledger.serial) if ledger.base is not EMPTY else None
        changed = {*ledger.base, *mapping} if changes is None else changes.get(state.type_url, frozenset())
        if named and names.base is ledger.base:
            names.share(mapping, changed)
        ledger.share(mapping, target.serial, changed)
    ledger.serial = target.serial
    if named and names.base is not mapping:
        names.share(mapping, {*names, *mapping})
