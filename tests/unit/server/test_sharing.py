"""Which streams are sent what others are sent, and hold it by reference; and which must not."""

from __future__ import annotations

import pytest

from nodegate.server.protocol.ledger import EMPTY
from nodegate.server.protocol.stream import StreamOptions
from nodegate.server.protocol.type_state import TypeState
from tests.protocol.wire import TYPES, Wire


def state_of(wire: Wire, short: str) -> TypeState:
    """Return the state of one type."""
    return wire.stream.states[TYPES[short]]


def sent_alike(wire: Wire, short: str) -> list[str] | None:
    """Return the names of the update under way that is the same for many streams; None: it is this stream's own."""
    outstanding = state_of(wire, short).outstanding
    assert outstanding is not None
    return sorted(outstanding.shared.sent) if outstanding.shared is not None else None


def holds_by_reference(wire: Wire, short: str) -> bool:
    """Return whether the client holds the target, and asks for it, without a name of its own."""
    state, mapping = state_of(wire, short), wire.target.of_type(TYPES[short])
    names = state.subscription.names
    return state.is_at(mapping) and (state.subscription.wildcard or (names.base is mapping and names.is_whole_base))


def test_who_takes_everything_is_sent_the_whole_and_then_what_changes() -> None:
    """As everybody else who does."""
    wire = Wire("delta", "CDS c1, CDS c2")
    wire.play("<-CDS NODE | ->CDS n1[c1,c2]")
    assert sent_alike(wire, "CDS") == ["c1", "c2"]
    assert not holds_by_reference(wire, "CDS")
    wire.play("<-CDS n1")
    assert holds_by_reference(wire, "CDS")
    wire.play("++ CDS c1@2, CDS c3 ; ->CDS n2[c1@2,c3]")
    assert sent_alike(wire, "CDS") == ["c1", "c3"]
    wire.play("<-CDS n2")
    assert holds_by_reference(wire, "CDS")
    assert state_of(wire, "CDS").counters.acked == 2


def test_who_asks_for_every_name_is_answered_as_all_are() -> None:
    """Also after a reconnect, when it holds them already."""
    wire = Wire("delta", "EDS a, EDS b")
    wire.play("<-EDS sub[a,b] NODE | ->EDS n1[a,b]")
    assert sent_alike(wire, "EDS") == ["a", "b"]
    wire.play("<-EDS n1 | ++ EDS a@2, EDS b@2 ; ->EDS n2[a@2,b@2]")
    assert sent_alike(wire, "EDS") == ["a", "b"]
    wire.play("<-EDS n2")
    assert holds_by_reference(wire, "EDS")
    wire.redial()
    wire.play("<-EDS sub[a,b] init{a:2,b:2} NODE | ->EDS n1[a@2,b@2]")
    assert sent_alike(wire, "EDS") == ["a", "b"]


def test_who_comes_back_with_everything_holds_it_by_reference_and_goes_on_as_others() -> None:
    """Nothing has to be compared name by name from then on."""
    wire = Wire("delta", "CDS c1, CDS c2")
    wire.play("<-CDS init{c1:1,c2:1} NODE | ->CDS n1[] | <-CDS n1")
    assert holds_by_reference(wire, "CDS")
    wire.play("++ CDS c1@2, CDS c2@2 ; ->CDS n2[c1@2,c2@2]")
    assert sent_alike(wire, "CDS") == ["c1", "c2"]


def test_who_was_behind_goes_on_as_others_once_it_is_not() -> None:
    """What it was sent of its own is held by reference as well."""
    wire = Wire("delta", "CDS c1, CDS c2")
    wire.play("<-CDS init{c1:0,c2:1} NODE | ->CDS n1[c1]")
    assert sent_alike(wire, "CDS") is None
    wire.play("<-CDS n1")
    assert holds_by_reference(wire, "CDS")
    wire.play("++ CDS c1@2, CDS c2@2 ; ->CDS n2[c1@2,c2@2]")
    assert sent_alike(wire, "CDS") == ["c1", "c2"]


def test_one_name_that_is_as_it_was_by_the_next_look_is_not_sent() -> None:
    """What changed and changed back meanwhile is held already (xds-protocol 8)."""
    wire = Wire("delta", "EDS a, EDS b, EDS c")
    wire.play("<-EDS sub[a] NODE | ->EDS n1[a] | <-EDS n1")
    wire.ready = False
    wire.put("EDS a@2")
    wire.put("EDS a@1")
    wire.ready = True
    wire.wait(0.0)
    wire.hears_nothing()
    wire.play("++ EDS a@3 ; ->EDS n2[a@3]")


def test_routes_are_sent_alike_where_nothing_of_them_has_to_wait() -> None:
    """Each stream asks for itself; one that waits is sent its own."""
    wire = Wire("delta", "CDS c1, RDS r1(c1), RDS r2(c1)")
    wire.play("<-CDS NODE | ->CDS n1[c1] | <-CDS n1 | <-RDS sub[r1,r2] | ->RDS n2[r1,r2]")
    assert sent_alike(wire, "RDS") == ["r1", "r2"]


def test_a_removal_is_of_one_stream_and_then_it_goes_on_as_others() -> None:
    """The version is that of whoever holds the same set."""
    wire, fresh = Wire("delta", "CDS c1, CDS c2"), Wire("delta", "CDS c1")
    wire.play("<-LDS NODE | ->LDS n0[] | <-LDS n0 | <-CDS | ->CDS n1[c1,c2] | <-CDS n1")
    wire.take("CDS c2")
    said = wire.hears("CDS n2[] removed[c2]")
    assert sent_alike(wire, "CDS") is None
    fresh.ask("CDS NODE")
    assert said.version == fresh.hears("CDS n1[c1]").version
    wire.play("<-CDS n2")
    assert holds_by_reference(wire, "CDS")
    wire.play("++ CDS c1@2 ; ->CDS n3[c1@2]")
    assert sent_alike(wire, "CDS") == ["c1"]


@pytest.mark.parametrize(("asked", "shares"), [("a,b", False), ("a,b,c", True)])
def test_who_asks_for_half_of_the_names_or_more_holds_them_by_reference(asked: str, *, shares: bool) -> None:
    """For fewer it would hold more than it asks for."""
    wire = Wire("delta", "EDS a, EDS b, EDS c, EDS d, EDS e, EDS f" if shares else "EDS a, EDS b, EDS c, EDS d, EDS e")
    wire.play(f"<-EDS sub[{asked}] NODE | ->EDS n1[{asked}]")
    assert sent_alike(wire, "EDS") is None
    wire.play("<-EDS n1")
    state, mapping = state_of(wire, "EDS"), wire.target.of_type(TYPES["EDS"])
    assert (state.ledger.base, state.subscription.names.base) == ((mapping, mapping) if shares else (EMPTY, {}))
    assert sorted(state.ledger.names()) == asked.split(",")
    wire.play("++ EDS d@2 ; .. | ++ EDS a@2 ; ->EDS n2[a@2]")


def test_who_holds_it_all_and_drops_names_is_sent_what_it_asks_for_still() -> None:
    """Alike with whoever needs just that."""
    wire = Wire("delta", "EDS a, EDS b, EDS c")
    wire.play("<-EDS sub[a,b,c] NODE | ->EDS n1[a,b,c] | <-EDS n1 | <-EDS unsub[c]")
    wire.play("++ EDS c@2 ; .. | ++ EDS a@2 ; ->EDS n2[a@2]")
    assert sent_alike(wire, "EDS") == ["a"]
    wire.play("<-EDS n2 ; .. | ++ EDS c@3, EDS b@2 ; ->EDS n3[b@2]")
    assert sent_alike(wire, "EDS") is None


def test_a_wildcard_that_ends_while_a_change_is_under_way_leaves_the_names_alone() -> None:
    """The acknowledgement does not bring back what is not asked for any more (xds-protocol 33)."""
    wire = Wire("delta", "CDS a, CDS b, CDS c")
    wire.play("<-CDS sub[*,a,b] NODE | ->CDS n1[a,b,c] | <-CDS n1 | ++ CDS a@2 ; ->CDS n2[a@2]")
    wire.play("<-CDS unsub[*] | <-CDS n2")
    assert sorted(state_of(wire, "CDS").ledger.names()) == ["a", "b"]
    wire.play("++ CDS c@2 ; .. | ++ CDS b@2 ; ->CDS n3[b@2] | <-CDS n3 ; ..")


def test_a_name_that_was_dropped_before_there_was_a_target_is_answered_beside_the_whole() -> None:
    """It was asked for under a wildcard, so the client is told what became of it (xds-protocol 32)."""
    wire = Wire("delta", "CDS c1", ready=False)
    wire.ask("CDS sub[*,gone] NODE")
    wire.ask("CDS unsub[gone]")
    wire.ready = True
    wire.put("CDS c1")
    wire.play("<-EDS sub[none] | ->CDS n1[c1] removed[gone] | ->EDS n2[] removed[none]")


def test_where_sharing_is_off_every_stream_is_sent_its_own() -> None:
    """The same bytes: what other tests compare with."""
    wire = Wire("delta", "CDS c1", options=StreamOptions(share=False))
    wire.play("<-CDS NODE | ->CDS n1[c1]")
    assert sent_alike(wire, "CDS") is None


def test_a_type_is_where_the_target_is_only_with_all_of_it_acknowledged() -> None:
    """Not with something in flight, nor with content of its own, nor at another mapping."""
    wire = Wire("delta", "CDS c1, CDS c2")
    wire.play("<-CDS NODE | ->CDS n1[c1,c2] | <-CDS n1")
    state, first = state_of(wire, "CDS"), wire.target.of_type(TYPES["CDS"])
    assert state.is_at(first)
    wire.play("++ CDS c1@2 ; ->CDS n2[c1@2]")
    second = wire.target.of_type(TYPES["CDS"])
    assert not state.is_at(first)
    assert not state.is_at(second)
    wire.ask("CDS n2 error{c1 is bad}")
    assert not state.is_at(second)
