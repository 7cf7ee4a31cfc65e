"""When a stream is sent what others are sent too (``shared``), and holds the target as they do: by reference."""

from __future__ import annotations

from collections.abc import Mapping

from nodegate.server.protocol.gate import Gate
from nodegate.server.protocol.ledger import EMPTY, Reported
from nodegate.server.protocol.response import Framing
from nodegate.server.protocol.shared import Reader, SharedUpdate, shared_update, update_of_one
from nodegate.server.protocol.type_state import TypeState
from nodegate.snapshot.target import Target
from nodegate.snapshot.type_urls import SECRET


def pending_update(state: TypeState, target: Target, framing: Framing) -> SharedUpdate | None:
    """Return the update that this stream needs, if it is one that many streams share."""
    if state.type_url == SECRET or state.refused or state.postponed or state.rejections or state.agenda.leaving:
        return None
    made = None if state.ledger.own else _of_the_type(state, target, framing)
    return made or _of_one_name(state, target, framing)


def _of_the_type(state: TypeState, target: Target, framing: Framing) -> SharedUpdate | None:
    """Return what leads a client to all of the target that holds nothing, or all of an earlier one."""
    ledger, mapping = state.ledger, target.of_type(state.type_url)
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


def _of_one_name(state: TypeState, target: Target, framing: Framing) -> SharedUpdate | None:
    """Return what a client needs that asks for some names, one of which is all that changed in the target."""
    agenda = state.agenda
    if len(agenda.news) != 1 or len(agenda.news[0]) != 1 or agenda.everything or agenda.dirty or state.whole_set:
        return None
    (name,) = agenda.news[0]
    entry, held = target.get(state.type_url, name), state.ledger.get(name)
    if entry is None or isinstance(held, Reported) or not state.subscription.wants(name):
        return None
    want = entry.resolve(state.facts)
    return None if held is not None and held.version == want.version else update_of_one(target, framing, want, held)


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


def passes(state: TypeState, shared: SharedUpdate, gate: Gate) -> bool:
    """Return whether nothing of an update has to wait on this stream."""
    return all(gate.update(resource, state.ledger.get(name)) is None for name, resource in shared.sent.items())


def share_target(state: TypeState, target: Target) -> None:
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
