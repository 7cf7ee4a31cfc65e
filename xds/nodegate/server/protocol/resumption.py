"""What a client reports to hold from an earlier stream becomes what it holds (37)."""

from __future__ import annotations

from collections.abc import Mapping

from nodegate.server.protocol.ledger import EMPTY, Reported
from nodegate.server.protocol.request import Variant
from nodegate.server.protocol.shared import whole_type
from nodegate.server.protocol.type_state import TypeState
from nodegate.snapshot.target import Target


def resume(state: TypeState, target: Target) -> None:
    """Take in what the client reported, now that there is a target to compare it with."""
    if not state.reported:
        return
    reported, state.reported = state.reported, {}
    mapping, ledger = target.of_type(state.type_url), state.ledger
    # A state-of-the-world client says no versions of resources.
    if state.variant is Variant.DELTA and ledger.base is EMPTY and not ledger.own and _covers(state, mapping):
        whole = whole_type(target, state.type_url, state.facts)
        if reported == whole.versions:
            ledger.adopt(mapping, target.serial, whole.digest)
            state.agenda.everything = False
            return
    for name, version in reported.items():
        if state.subscription.wants(name) and ledger.get(name) is None:
            entry = mapping.get(name)
            ours = entry.resolve(state.facts) if entry is not None else None
            ledger.put(name, ours if ours and ours.version == version else Reported(name, version))
            state.agenda.look_at((name,))


def _covers(state: TypeState, names: Mapping[str, object]) -> bool:
    """Return whether the client asks for all of these."""
    return state.subscription.wildcard or all(name in state.subscription.names for name in names)
