"""Problems in the log: each once when it comes, and once when it is gone."""

from __future__ import annotations

from typing import Any

from nodegate.model.problem import Problem, Severity


def log_difference(log: Any, before: tuple[Problem, ...], after: tuple[Problem, ...]) -> None:
    """Write to a logger which problems came, each at the level of its severity, and which are gone."""
    known, left = {one.identity for one in before}, {one.identity for one in after}
    level = {Severity.ERROR: log.error, Severity.WARNING: log.warning, Severity.INFO: log.info}
    for problem in after:
        if problem.identity not in known:
            level[problem.severity](str(problem), **_about(problem))
    for problem in before:
        if problem.identity not in left:
            log.info("Solved: %s", problem, **_about(problem))


def _about(problem: Problem) -> dict[str, str]:
    said = {"code": problem.code, "object": str(problem.ref)}
    return {**said, "location": problem.location} if problem.location else said
