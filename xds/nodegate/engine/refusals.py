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

MOST_MOVES = 3
"""How often one node moves one listener. Three ports of ten thousand are not taken by chance."""


@dataclass(frozen=True, slots=True, order=True)
class Refusal:
    """A port that a node cannot use, and the listener (name without port) that has it."""

    listener: str
    port: int
    node: str


class Refusals:
    """Which refusals move a listener. A node that refuses every port is a node to look at: it moves nobody for ever."""

    def __init__(self) -> None:
        self._moved: dict[tuple[str, str], set[int]] = {}

    def take(
        self, votes: Iterable[Votes], held: Iterable[tuple[str, str]], ports: Mapping[str, int]
    ) -> tuple[tuple[Votes, ...], tuple[Refusal, ...]]:
        """Return the votes about content, and the ports that cannot be had, ordered.

        ``held`` is what agents say: listeners whose port another program has, each with the node. ``ports`` are the
        claims: a listener whose port nobody claimed cannot move, so there a refusal is a rejection.
        """
        self._moved = {case: moved for case, moved in self._moved.items() if case[0] in ports}
        kept: list[Votes] = []
        refused = {one for one in _of_held(held, ports) if self._counts(one)}
        for vote in votes:
            found = {one.node: one for one in _of_vote(vote, ports) if self._counts(one)}
            refused.update(found.values())
            rejected = {node: text for node, text in vote.rejected.items() if node not in found}
            if rejected:
                kept.append(replace(vote, rejected=rejected) if found else vote)
        return tuple(kept), tuple(sorted(refused))

    def _counts(self, refusal: Refusal) -> bool:
        """Note a refusal; return whether this node may still move this listener."""
        moved = self._moved.setdefault((refusal.listener, refusal.node), set())
        if refusal.port not in moved and len(moved) < MOST_MOVES:
            moved.add(refusal.port)
        return refusal.port in moved


def _of_held(held: Iterable[tuple[str, str]], ports: Mapping[str, int]) -> Iterator[Refusal]:
    for name, node in held:
        listener, port = listener_and_port(name)
        if ports.get(listener) == port:
            yield Refusal(listener, port, node)


def _of_vote(vote: Votes, ports: Mapping[str, int]) -> Iterator[Refusal]:
    type_url, name = vote.key
    listener, port = listener_and_port(name)
    if type_url != LISTENER or ports.get(listener) != port:
        return
    for node, text in vote.rejected.items():
        if str(port) in _CANNOT_BIND.findall(text):
            yield Refusal(listener, port, node)
