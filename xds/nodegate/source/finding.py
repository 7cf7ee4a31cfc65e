"""What is wrong at one place of one object, before it is known which object in which file that is."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from nodegate.model.problem import Problem, ProblemCode, Severity
from nodegate.model.refs import Ref

Path = tuple[str | int, ...]
"""A place in a document: keys of mappings and indexes of lists, from the outside in."""

_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*\Z", re.ASCII)
_SHOWN_STEP = re.compile(r"([^.\[\]]+)|\[([^\]]*)\]")
_LONGEST_SHOWN_KEY = 63  # a line of a PEM block has 64 characters: a key that slipped out of its block is not shown


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong at ``path``. ``remedy`` is empty where the general one of the code says it all."""

    code: ProblemCode
    path: Path
    message: str
    remedy: str = ""

    @property
    def spoils(self) -> bool:
        """Whether the object cannot be used because of it."""
        return self.code.severity is Severity.ERROR

    def below(self, prefix: Path) -> Finding:
        """Return the same finding in an object that starts at ``prefix``."""
        return replace(self, path=self.path[len(prefix) :])

    def problem(self, ref: Ref, location: str) -> Problem:
        """Return the finding as a Problem of ``ref``, at ``location`` (``file:line``)."""
        found = self.code.found(ref, show_path(self.path), self.message, self.remedy)
        return replace(found, location=location)


def show_path(path: Path) -> str:
    """Return ``path`` as kubectl writes it: ``spec.rules[0].host``, ``metadata.labels[app.kubernetes.io/name]``."""
    return "".join(_show_step(step) for step in path).removeprefix(".")


def read_path(shown: str) -> Path:
    """Return the place that :func:`show_path` shows so; a number in brackets is taken for an index."""
    steps = (match.groups() for match in _SHOWN_STEP.finditer(shown))
    return tuple(int(inner) if inner.isdecimal() else inner for name, bracket in steps for inner in [name or bracket])


def show_key(key: str) -> str:
    """Return a key for a message, or what stands for it when it is too long to be one."""
    return key if len(key) <= _LONGEST_SHOWN_KEY else "(a long key)"


def _show_step(step: str | int) -> str:
    if isinstance(step, str) and _PLAIN_KEY.match(step):
        return f".{show_key(step)}"
    return f"[{step if isinstance(step, int) else show_key(step)}]"
