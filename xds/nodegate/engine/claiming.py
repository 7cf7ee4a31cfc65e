"""Translation, and the claims of the listeners that it wants: what changes of objects and of ports make of resources.

The two need each other: only translation knows which listeners there are, and it makes none before it has a port.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from nodegate.engine.expiry import Expiry
from nodegate.engine.problems import Finder, Problems
from nodegate.engine.refusals import Refusal
from nodegate.engine.translation import Translation
from nodegate.model.changes import Change
from nodegate.ports import Outcome, Ports
from nodegate.snapshot.resource import Entry, Key
from nodegate.translate.result import Changed

Resources = dict[Key, Entry | None]


class Claiming:
    """Translates changes and claims ports. ``expiry`` is told of every certificate that changes."""

    def __init__(
        self, translation: Translation[Any], claims: Ports, problems: Problems, clock: Callable[[], float]
    ) -> None:
        """Note in ``problems`` what is found; ``clock`` gives Unix seconds and decides how long ports rest."""
        self.expiry = Expiry(translation.expiring, problems, clock)
        self._translation = translation
        self._claims = claims
        self._problems = problems
        self._clock = clock

    def first(self, changes: Sequence[Change]) -> Resources:
        """Translate a whole listing, then give ports to the listeners in the order of their names."""
        resources = dict(self._apply(changes).resources)
        return resources | self._claim(self._claims.settle(self._translation.listeners, self._clock()))

    def translate(self, changes: Sequence[Change]) -> Resources:
        """Translate changes, and the claims of the listeners that come and go with them."""
        changed = self._apply(changes)
        resources = dict(changed.resources)
        if changed.listeners or self._claims.has_news:
            resources |= self._claim(self._claims.change(changed.listeners, self._clock()))
        return resources

    def move(self, refused: Iterable[Refusal]) -> Resources:
        """Give other ports to listeners whose ports a node cannot use."""
        resources = Resources()
        for one in refused:
            resources |= self._claim(self._claims.refuse(one.listener, one.port, one.node, self._clock()))
        return resources

    def give_rested(self) -> Resources:
        """Give ports that have rested to listeners that wait for one."""
        return self._claim(self._claims.retry(self._clock()))

    def next_rested(self) -> float | None:
        """Return in how many seconds a port for a listener that waits will have rested; None when none waits."""
        wake = self._claims.next_wake()
        return None if wake is None else max(wake - self._clock(), 0.0)

    def _claim(self, outcome: Outcome) -> Resources:
        """Tell translation which listener has which port; a claim never makes another listener want one."""
        self._problems.note(Finder.PORTS, outcome.problems)
        return dict(self._apply(outcome.claims).resources) if outcome.claims else {}

    def _apply(self, changes: Sequence[Change]) -> Changed:
        changed = self._translation.apply(changes)
        self._problems.note(Finder.TRANSLATION, changed.problems)
        self.expiry.changed(changed.resources)
        return changed
