"""Problems in the log: each once when it comes, and once when it is gone."""

from __future__ import annotations

import structlog

from nodegate.engine.problems import Finder, Problems
from nodegate.model.problem import Problem
from nodegate.model.refs import Kind, Ref

WEB = Ref(Kind.INGRESS, "shop", "web")


def lines(*histories: tuple[Problem, ...]) -> list[tuple[str, str]]:
    """Return the level and the beginning of each line while an object's problems are these, one after the other."""
    problems = Problems()
    with structlog.testing.capture_logs() as logs:
        for now in histories:
            problems.note(Finder.PROXIES, {WEB: now})
    return [(line["log_level"], line["event"].split(":")[0]) for line in logs]


def counted(message: str, about: str = "") -> Problem:
    """Return a problem."""
    return Problem(WEB, "Broken", "spec", message, "Mend it.", about=about)


def test_a_problem_is_told_when_it_comes_and_when_it_is_gone() -> None:
    """And when it comes back."""
    broken = (counted("It is broken."),)
    assert lines(broken, broken, (), broken) == [("error", "error"), ("info", "Solved"), ("error", "error")]


def test_another_message_is_another_problem() -> None:
    """What was wrong before is solved, something else is wrong now."""
    told = lines((counted("A is missing."),), (counted("B is missing."),))
    assert told == [("error", "error"), ("error", "error"), ("info", "Solved")]


def test_a_message_that_only_counts_on_is_not_told_again() -> None:
    """Else a thousand proxies that answer one after the other would be two thousand lines."""
    counts = [(counted(f"{count} of 1000 proxies say so.", about="route shop/web/http"),) for count in range(3)]
    assert lines(*counts, ()) == [("error", "error"), ("info", "Solved")]
