"""Problems: what is wrong with an object, where, what it means, and what to do about it.

A problem is a value, not an exception: everything that is not part of it goes on working.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from nodegate.model.refs import Ref


class Severity(StrEnum):
    """How much of what the object asked for is not done."""

    ERROR = "error"  # a part of the object is not served
    WARNING = "warning"  # everything is served, but probably not as meant
    INFO = "info"  # nothing is wrong; worth knowing


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing that is wrong with one object.

    ``code`` is a stable word in CamelCase (the reason of an Event, an anchor in docs/problems.md); ``field`` is the
    path in the object, like ``spec.rules[0].http.paths[1].backend``, empty for the object as a whole; ``message`` is
    a full sentence, ``remedy`` another one that says what to do. ``location`` is ``file:line`` where it is known.
    ``about`` is what stays the same while the message changes, for a message that counts or lists something.
    """

    ref: Ref
    code: str
    field: str
    message: str
    remedy: str
    severity: Severity = Severity.ERROR
    location: str = ""
    about: str = ""

    @property
    def identity(self) -> tuple[Ref, str, str, str]:
        """Two problems that agree in this are the same to people, though the message may have other figures by now."""
        return self.ref, self.code, self.field, self.about or self.message

    def __str__(self) -> str:
        """Return the problem as one line for a log or a terminal."""
        where = f"{self.location}: " if self.location else ""
        field = f" {self.field}" if self.field else ""
        return f"{where}{self.severity.value}: {self.ref}{field}: {self.message} {self.remedy} [{self.code}]"


@dataclass(frozen=True, slots=True)
class ProblemCode:
    """One kind of problem, as docs/problems.md lists it.

    ``meaning`` says in general what is wrong and what nodegate does about it, ``remedy`` what the owner of the object
    can do; :meth:`found` makes the Problem of one object.
    """

    code: str
    meaning: str
    remedy: str
    severity: Severity = Severity.ERROR

    def found(self, ref: Ref, field: str, message: str, remedy: str = "") -> Problem:
        """Return this problem as found at ``field`` of an object; ``remedy`` replaces the general one."""
        return Problem(ref, self.code, field, message, remedy or self.remedy, self.severity)
