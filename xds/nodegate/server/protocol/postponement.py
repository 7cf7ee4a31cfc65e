"""What an agent could not do yet, in its own words. It is no verdict on the content (``redirect.proto``).

A NACK of an agent has one line for each resource that is not installed as asked; all others of the message are. So
nothing is tried again by halves, and nothing is kept from others: the agent asks again once it can go on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from nodegate.server.protocol.rejection import names_in_text
from nodegate.snapshot.type_urls import REDIRECT

POSTPONED_BY_NACK = frozenset({REDIRECT})
"""Types whose NACK says what is not done yet."""

WAITING, PORT_HELD, KERNEL_REFUSED = "waiting for listener", "port held", "kernel refused"
"""How a reason begins."""


@dataclass(frozen=True, slots=True)
class Postponement:
    """One resource that is not installed: its version, None where it is to go, and why, in the agent's words."""

    version: str | None
    words: str


def words_by_name(text: str, names: Iterable[str]) -> Mapping[str, str]:
    """Return what an agent's text says of each of these names that it mentions; where it mentions none, of all."""
    wanted = frozenset(names)
    lines = (line.strip().partition(": ") for line in text.splitlines())
    found = {name: words for name, _, words in lines if words and name in wanted}
    return found or dict.fromkeys(names_in_text(text, wanted) or wanted, text)


def reason_of(words: str) -> str:
    """Return which of the reasons an agent gives, or ``other``."""
    return next((reason for reason in (WAITING, PORT_HELD, KERNEL_REFUSED) if words.startswith(reason)), "other")
