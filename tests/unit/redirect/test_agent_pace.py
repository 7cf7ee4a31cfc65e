"""When the agent looks and compares: soon enough, and never for more than its share of a CPU."""

from __future__ import annotations

from math import isclose

from nodegate_redirect.agent.pace import Pace


def test_at_first_everything_is_due() -> None:
    assert Pace().next() == 0.0


def test_what_waits_for_a_listener_is_looked_at_twenty_times_a_second_and_the_rest_every_second() -> None:
    """Envoy acknowledges a listener before it listens, and no message says when it does (DESIGN 3.3)."""
    pace = Pace()
    pace.compared(100.0, 0.01)
    pace.looked(100.0, 0.001, whole=True, waiting=True)
    assert isclose(pace.next(), 100.05)
    pace.looked(100.05, 0.001, whole=False, waiting=False)
    assert isclose(pace.next(), 101.0)


def test_looking_takes_a_tenth_of_a_cpu_and_comparing_a_twentieth_however_long_they_last() -> None:
    """10,000 listeners, 10,000 Services: a look of a quarter of a second, a comparison of six seconds."""
    pace = Pace()
    pace.compared(100.0, 6.0)
    pace.looked(100.0, 0.25, whole=True, waiting=True)
    assert isclose(pace.next(), 102.5)
    assert isclose(pace.next_compare, 220.0)


def test_rules_that_a_stranger_changed_are_compared_soon_but_not_over_and_over() -> None:
    pace = Pace()
    pace.compared(100.0, 0.002)
    pace.rules_changed()
    assert isclose(pace.next_compare, 100.2)
    pace.compared(100.2, 1.0)
    pace.rules_changed()
    assert isclose(pace.next_compare, 120.2)


def test_rules_that_a_stranger_changed_are_looked_at_at_once_whatever_a_comparison_takes() -> None:
    """A look sees a flush by the heads alone, and may then compare."""
    pace = Pace()
    pace.compared(100.0, 6.0)
    pace.looked(100.0, 0.001, whole=True, waiting=False)
    pace.rules_changed()
    assert isclose(pace.next(), 100.2)


def test_who_flushes_over_and_over_gets_half_a_cpu() -> None:
    """A look that compared is not repeated for as long as the comparison took."""
    pace = Pace()
    pace.compared(100.0, 6.0)
    pace.looked(100.0, 0.001, whole=True, waiting=True, comparing=6.0)
    pace.rules_changed()
    assert isclose(pace.next(), 106.0)


def test_a_node_that_changed_is_looked_at_now() -> None:
    """A pod's new interface, an address: their clients should not wait."""
    pace = Pace()
    pace.compared(100.0, 6.0)
    pace.looked(100.0, 0.25, whole=True, waiting=False)
    pace.node_changed()
    assert pace.next() == 0.0


def test_what_the_kernel_refuses_is_asked_again_less_and_less_often_and_nothing_else_meanwhile() -> None:
    pace, now, waits = Pace(), 100.0, []
    for _ in range(8):
        pace.failed(now)
        pace.looked(now, 0.0, whole=True, waiting=True)
        pace.rules_changed()
        waits.append(pace.next() - now)
        now = pace.next()
    assert waits == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]
    pace.compared(now, 0.01)
    pace.failed(now)
    assert isclose(pace.next(), now + 0.5)
