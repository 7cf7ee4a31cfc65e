"""What a client rejected, and how the rejected part of a message is found (35, DESIGN 2 quarantine).

A NACK refuses a message, not a resource. When the client's text names resources of the message, those are the
rejected ones. When it names none, the message is tried again in halves until single resources are left.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

_NAME_CHARACTER = r"[\w./@-]"


@dataclass(frozen=True, slots=True)
class Rejection:
    """One resource that the client refused: at which version, and in whose words."""

    version: str
    text: str


def names_in_text(text: str, names: Iterable[str]) -> frozenset[str]:
    """Return which of these names a client's error text mentions as whole names."""
    return frozenset(
        name
        for name in names
        if name in text and re.search(rf"(?<!{_NAME_CHARACTER}){re.escape(name)}(?!{_NAME_CHARACTER}*\w)", text)
    )


class Rejections:
    """The rejected resources of one type on one stream, and those on trial because the culprit is not known yet."""

    __slots__ = ("_trials", "_waiting", "rejected")

    def __init__(self) -> None:
        self.rejected: dict[str, Rejection] = {}
        self._trials: deque[dict[str, str]] = deque()
        self._waiting: dict[str, str] = {}

    @property
    def trial(self) -> Mapping[str, str]:
        """The group of names (-> version) that has to be sent alone, next; empty when there is no trial."""
        return self._trials[0] if self._trials else {}

    def withholds(self, name: str, version: str) -> bool:
        """Return whether this very content must not be sent now: it was rejected, or awaits its own trial."""
        rejection = self.rejected.get(name)
        if rejection is not None and rejection.version == version:
            return True
        return self._waiting.get(name) == version and name not in self.trial

    def accept(self, name: str) -> None:
        """Note that the client accepted the name's newest content, or that the resource is gone."""
        self.rejected.pop(name, None)
        self._end_trial_of(name)

    def refuse(self, sent: Mapping[str, str], text: str) -> frozenset[str]:
        """Note that a message with these names (-> version) was refused; return the names known to be at fault.

        With none at fault yet, the names go on trial.
        """
        for name in sent:
            self._end_trial_of(name)
        guilty = names_in_text(text, sent) or (frozenset(sent) if len(sent) == 1 else frozenset())
        for name in guilty:
            self.rejected[name] = Rejection(sent[name], text)
        if not guilty and sent:
            self._halve(sent)
        return guilty

    def _halve(self, sent: Mapping[str, str]) -> None:
        names = sorted(sent)
        middle = len(names) // 2
        for half in (names[middle:], names[:middle]):
            group = {name: sent[name] for name in half}
            self._trials.appendleft(group)
            self._waiting.update(group)

    def _end_trial_of(self, name: str) -> None:
        if self._waiting.pop(name, None) is None:
            return
        for group in self._trials:
            group.pop(name, None)
        while self._trials and not self._trials[0]:
            self._trials.popleft()
        if not any(self._trials):
            self._trials.clear()
