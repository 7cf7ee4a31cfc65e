"""Redirects for tests: as values, as messages, and as hypothesis makes them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from hypothesis import strategies as st

from nodegate_protos import redirect_pb2
from nodegate_redirect.contract import Place, Redirect
from nodegate_redirect.plan import REFUSED, Node

T = TypeVar("T")

ADDRESSES = ("10.103.218.167", "203.0.113.10", "fd00:96::a7", "2001:db8::10")
NODE_ADDRESSES = ("10.0.1.1", "127.0.0.1", "fd00:1::1")
PORTS = (10000, 18243, 18259, 20000)
RANGES = ("0.0.0.0/0", "192.0.2.0/24", "198.51.100.7/32", "2001:db8:7::/48")

_PLACES = tuple(Place(address, port) for address in ADDRESSES for port in (80, 443))


@dataclass(frozen=True)
class Case:
    """What is asked for, what the node is like, and what is installed: all of it from one seed."""

    asked: list[Redirect]
    then: list[Redirect]
    node: Node
    installed: dict[Place, int]


def case(seed: int) -> Case:
    """Return the case of a seed. A seed and not strategies: drawing ten values of each costs a hundred times more."""
    chance = random.Random(seed)
    node = Node(
        frozenset(_some(chance, NODE_ADDRESSES)),
        frozenset(_some(chance, [(family, port) for family in (4, 6) for port in PORTS])),
    )
    installed = {place: chance.choice((REFUSED, *PORTS)) for place in _some(chance, _PLACES)}
    return Case(_redirects(chance), _redirects(chance), node, installed)


cases = st.integers(0, 2**32).map(case)


def _redirects(chance: random.Random) -> list[Redirect]:
    return [
        Redirect(
            f"ns/web{number}/80",
            f"ns/web{number}/http",
            chance.choice(PORTS),
            tuple((place, chance.random() < 0.5) for place in sorted(_some(chance, _PLACES))),
            tuple((port, chance.random() < 0.5) for port in _some(chance, (31907, 31908))),
            tuple(sorted(_some(chance, RANGES))),
        )
        for number in _some(chance, range(5))
    ]


def _some(chance: random.Random, choices: Sequence[T]) -> list[T]:
    return chance.sample(choices, chance.randint(0, len(choices)))


def message(name: str = "default/web/80") -> redirect_pb2.ServiceRedirect:
    """Return a message that asks for a ClusterIP, a NodePort and a restricted load balancer's address."""
    made = redirect_pb2.ServiceRedirect(name=name, source_ranges=["192.0.2.9/24"])
    made.listener.name, made.listener.port = "default/web/http@18243", 18243
    made.frontends.add().address.ip = "10.103.218.167"
    made.frontends[0].address.port = 80
    made.frontends.add(node_port=31907)
    restricted = made.frontends.add(restricted=True)
    restricted.address.ip, restricted.address.port = "FD00:0:0::A7", 80
    return made
