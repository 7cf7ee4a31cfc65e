"""What a step of translation gives back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from nodegate.model.problem import Problem
from nodegate.model.refs import Ref
from nodegate.snapshot.resource import Entry, Key


@dataclass(frozen=True, slots=True)
class Changed:
    """The difference one step makes. Everything that is not named here is as it was.

    ``resources``: put in, or taken out where None. ``problems``: per object the whole list of its problems, empty when
    it has none left. ``listeners``: the listeners that want a port (name without port, Service port: 80 or 443), or
    None where one is wanted no more.
    """

    resources: Mapping[Key, Entry | None] = field(default_factory=dict)
    problems: Mapping[Ref, tuple[Problem, ...]] = field(default_factory=dict)
    listeners: Mapping[str, int | None] = field(default_factory=dict)
