"""The Services of the benchmark: each has a cluster IP of its own, and a listener of so many."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address

from nodegate_redirect.contract import Place, Redirect

_FIRST_ADDRESS = IPv4Address("10.103.0.1")
_FIRST_PORT = 10000
WHOLE = "10.103.255.254/16"
"""An address in the network of all of them. On ``lo`` it makes the whole network the node's own."""


@dataclass(frozen=True, slots=True)
class Size:
    """How many Services there are, and how many listeners they share."""

    services: int
    listeners: int = 1

    @property
    def title(self) -> str:
        """Say it."""
        return f"{_count(self.services, 'Service')}, {_count(self.listeners, 'listener')}"

    @property
    def ports(self) -> Sequence[int]:
        """The listeners' ports."""
        return range(_FIRST_PORT, _FIRST_PORT + self.listeners)

    def redirects(self) -> list[Redirect]:
        """Return what the agent would be told."""
        return [redirect(number, self.ports[number % self.listeners]) for number in range(self.services)]

    def frontends(self) -> list[str]:
        """Return where clients of the Services connect to."""
        return [f"{_address(number)}:80" for number in range(self.services)]

    def listening(self) -> list[str]:
        """Return where the listeners themselves are: at as many addresses, so that clients have as much to remember."""
        return [f"{_address(number)}:{self.ports[number % self.listeners]}" for number in range(self.services)]


def redirect(number: int, port: int) -> Redirect:
    """Return the redirect of one Service to the listener on a port."""
    return Redirect(f"default/s{number}/80", f"default/s{number}/http@{port}", port, ((_place(number), False),))


def _place(number: int) -> Place:
    return Place(_address(number), 80)


def _address(number: int) -> str:
    return str(_FIRST_ADDRESS + number)


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' * (number != 1)}"
