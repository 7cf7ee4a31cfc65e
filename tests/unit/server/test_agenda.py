"""The agenda: what is still to be looked at, and what waits."""

from __future__ import annotations

from nodegate.server.protocol.agenda import Agenda, Hold


def test_a_new_agenda_has_nothing_on_it() -> None:
    """Work is in the number of names that changed (DESIGN 2, cost)."""
    agenda = Agenda()
    assert not any((agenda.dirty, agenda.forced, agenda.leaving, agenda.news, agenda.everything, agenda.reply))


def test_what_is_done_or_leaves_is_not_looked_at_again() -> None:
    """Nor sent again, though it was asked for (xds-protocol 28)."""
    agenda = Agenda()
    agenda.answer(["a", "b"])
    agenda.done("a")
    agenda.leave("b")
    assert (agenda.dirty, agenda.forced, agenda.leaving) == (set(), set(), {"b"})


def test_a_wait_goes_on_when_only_its_reason_changes() -> None:
    """People see since when (xds-protocol 42)."""
    agenda = Agenda()
    agenda.wait("a", Hold("one thing"), 1.0)
    agenda.wait("a", Hold("another"), 2.0)
    assert agenda.holds == {"a": (Hold("another"), 1.0)}


def test_when_everything_was_sent_nothing_is_left() -> None:
    """Neither names nor waits."""
    agenda = Agenda()
    agenda.answer(["a"])
    agenda.everything = True
    agenda.clear()
    assert not any((agenda.dirty, agenda.forced, agenda.everything))
