"""What can be wrong with the port of a listener."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

from nodegate.model.problem import Problem, ProblemCode, Severity
from nodegate.model.refs import Ref
from nodegate.ports.contract import listeners_of, owner_of
from nodegate.ports.range import PortRange

PORTS_EXHAUSTED = ProblemCode(
    "PortsExhausted",
    "Every port of the range belongs to a listener or rests after use, so this listener cannot be made. The others are "
    "not touched, and it is made as soon as a port is free.",
    "Delete Ingresses that are not needed; their ports can be used again 5 minutes later.",
)
PORT_REFUSED = ProblemCode(
    "PortRefused",
    "A node cannot use the port of a listener, because something else on it does. The listener is moved to another "
    "port on all nodes; it is reached as before, and goes on at the old port until the new one is there.",
    "Nothing has to be done. To find what holds the port, run `ss -ltnp` on the node.",
    Severity.WARNING,
)


def exhausted(listener: str, ports: PortRange, taken: int, resting: int) -> Problem:
    """Return the problem of a listener that gets no port."""
    return PORTS_EXHAUSTED.found(
        owner_of(listener),
        "",
        f"Listener {listener} has no port: all {len(ports)} ports from {ports.first} to {ports.last} "
        f"are claimed ({taken}) or rest after use ({resting}).",
    )


class Refusals:
    """Which ports a listener must not have: those that a node was seen to refuse, and those of which it is written."""

    def __init__(self) -> None:
        self._nodes: dict[str, dict[int, set[str]]] = {}
        self._said: dict[str, frozenset[int]] = {}

    def add(self, listener: str, port: int, node: str) -> bool:
        """Remember that a node refused a port. Return whether it is news."""
        nodes = self._nodes.setdefault(listener, {}).setdefault(port, set())
        known = node in nodes
        nodes.add(node)
        return not known

    def say(self, listener: str, ports: Iterable[int]) -> bool:
        """Take these for all that is written of a listener. Return whether it is news."""
        before, now = self._said.pop(listener, frozenset()), frozenset(ports)
        if now:
            self._said[listener] = now
        return now != before

    def of(self, listener: str) -> frozenset[int]:
        """Return the ports that a listener must not have."""
        return self._said.get(listener, frozenset()).union(self.seen(listener))

    def seen(self, listener: str) -> Collection[int]:
        """Return those of them that a node was seen to refuse."""
        return self._nodes.get(listener, {}).keys()

    def forget(self, listener: str) -> bool:
        """A listener is wanted no more; return whether any of its ports was seen to be refused."""
        return self._nodes.pop(listener, None) is not None

    def problems(self, listener: str, now: int | None) -> Iterator[Problem]:
        """Yield a problem for every port that a node was seen to refuse; ``now`` is the listener's port instead."""
        instead = f"it moves to port {now}" if now is not None else "there is no other port for it"
        for port, nodes in sorted(self._nodes.get(listener, {}).items()):
            named = ", ".join(sorted(filter(None, nodes)))
            where = f"node {named}" if named else "a node without a name"
            message = f"Port {port} of listener {listener} cannot be used on {where}; {instead}."
            yield PORT_REFUSED.found(owner_of(listener), "", message)


def problems_of(
    listeners: Iterable[str],
    waiting: Collection[str],
    full: Callable[[str], Problem],
    refusals: Refusals,
    port_of: Callable[[str], int | None],
) -> Mapping[Ref, tuple[Problem, ...]]:
    """Return all problems of the Ingresses that these listeners are of.

    ``waiting`` are those without a port, and ``full`` says so of one; ``port_of`` returns the port that a listener has
    or is to have.
    """

    def of_owner(owner: Ref) -> Iterator[Problem]:
        for listener in listeners_of(owner):
            if listener in waiting:
                yield full(listener)
            yield from refusals.problems(listener, port_of(listener))

    return {owner: tuple(of_owner(owner)) for owner in sorted(set(map(owner_of, listeners)))}
