"""Ports that a node cannot use, told apart from content that proxies reject (redirect 5). Pure.

Envoy refuses a listener whose port another program holds, and an agent says that one is held. Nothing is wrong with
the Ingress then: its listener moves to another port.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from nodegate.snapshot.type_urls import LISTENER
from nodegate.snapshot.votes import Votes
from nodegate.translate.names import listener_and_port

_CANNOT_BIND = re.compile(r"cannot bind '[^']*:(\d+)': Address already in use")
"""As Envoy 1.40 was seen to say it, in a line for each listener:
``Error adding/updating listener(s) shop/web/http@18243: cannot bind '0.0.0.0:18243': Address already in use``."""


@dataclass(frozen=True, slots=True, order=True)
class Refusal:
    """A port that a node cannot use, and the listener (name without port) that has it."""

    listener: str
    port: int
    node: str


def without_refusals(votes: Iterable[Votes], ports: Mapping[str, int]) -> tuple[tuple[Votes, ...], tuple[Refusal, ...]]:
    """Return the votes about content, and what is no vote but a port that cannot be had.

    ``ports`` are the claims: a listener whose port nobody claimed cannot move, so there a refusal is a rejection.
    """
    kept: list[Votes] = []
    refused: list[Refusal] = []
    for vote in votes:
        found = {one.node: one for one in _refusals(vote, ports)}
        refused += found.values()
        rejected = {node: text for node, text in vote.rejected.items() if node not in found}
        if rejected:
            kept.append(replace(vote, rejected=rejected) if found else vote)
    return tuple(kept), tuple(refused)


def of_held(held: Iterable[tuple[str, str]], ports: Mapping[str, int]) -> Iterator[Refusal]:
    """Yield the refusals of agents, which name a listener and their node."""
    for name, node in held:
        listener, port = listener_and_port(name)
        if ports.get(listener) == port:
            yield Refusal(listener, port, node)


def _refusals(vote: Votes, ports: Mapping[str, int]) -> Iterator[Refusal]:
    type_url, name = vote.key
    if type_url != LISTENER:
        return
    listener, port = listener_and_port(name)
    if ports.get(listener) != port:
        return
    for node, text in vote.rejected.items():
        if str(port) in _CANNOT_BIND.findall(text):
            yield Refusal(listener, port, node)
