"""What a client rejected, and how the rejected part of a message is found (35, DESIGN 2 quarantine).

A NACK refuses a message, not a resource. When the client's text names resources of the message, those are the
rejected ones. When it names none, the message is tried again in halves until single resources are left.
"""

from __future__ import annotations

import re
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

    __slots__ = ("_suspects", "_trials", "rejected")

    def __init__(self) -> None:
        self.rejected: dict[str, Rejection] = {}
        self._trials: list[dict[str, str]] = []
        self._suspects: dict[str, str] = {}

    def __bool__(self) -> bool:
        """Return whether anything is rejected or on trial."""
        return bool(self.rejected or self._suspects)

    @property
    def trial(self) -> Mapping[str, str]:
        """The group of names (-> version) that has to be sent alone, next; empty when there is no trial."""
        return self._trials[0] if self._trials else {}

    def refuses(self, name: str, version: str) -> bool:
        """Return whether this very content was rejected: it must not be sent again (12)."""
        rejection = self.rejected.get(name)
        return rejection is not None and rejection.version == version

    def awaits_trial(self, name: str, version: str) -> bool:
        """Return whether this very content is to be sent in a group of its own, later."""
        return self._suspects.get(name) == version and name not in self.trial

    def look_at(self, name: str, version: str | None) -> None:
        """Forget what was said of other content than this: the target's now, or None when it has none."""
        rejection = self.rejected.get(name)
        if rejection is not None and rejection.version != version:
            del self.rejected[name]
        if self._suspects.get(name, version) != version:
            self._acquit(name)

    def accept(self, name: str, version: str) -> None:
        """Note that the client acknowledged this content."""
        if self._suspects.get(name) == version:
            self._acquit(name)

    def refuse(self, sent: Mapping[str, str], text: str, *, may_halve: bool = True) -> frozenset[str]:
        """Note that a message with these names (-> version) was refused; return the names known to be at fault.

        With none at fault yet, the names go on trial, if they may be sent in halves.
        """
        for name in sent:
            self._acquit(name)
        guilty = names_in_text(text, sent) or (frozenset(sent) if len(sent) == 1 else frozenset())
        for name in guilty:
            self.rejected[name] = Rejection(sent[name], text)
        if not guilty and sent and may_halve:
            self._halve(sent)
        return guilty

    def _halve(self, sent: Mapping[str, str]) -> None:
        names = sorted(sent)
        middle = len(names) // 2
        for half in (names[middle:], names[:middle]):
            group = {name: sent[name] for name in half}
            self._trials.insert(0, group)
            self._suspects.update(group)

    def _acquit(self, name: str) -> None:
        if self._suspects.pop(name, None) is None:
            return
        for group in self._trials:
            group.pop(name, None)
        while self._trials and not self._trials[0]:
            del self._trials[0]
