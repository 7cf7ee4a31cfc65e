"""A discovery request of either variant, as a value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from nodegate.snapshot.facts import NodeFacts

AGENT = "agent"
"""The role that a redirect agent says it has; everybody else says none."""


class Variant(StrEnum):
    """The two variants of the protocol."""

    SOTW = "sotw"
    DELTA = "delta"


class ProtocolError(Exception):
    """The client broke the protocol; its stream ends with INVALID_ARGUMENT and this sentence."""


@dataclass(frozen=True, slots=True)
class ClientNode:
    """Who the client says it is, from the ``node`` of its first request."""

    id: str
    user_agent: str
    facts: NodeFacts
    features: frozenset[str] = frozenset()
    role: str = ""

    @property
    def is_agent(self) -> bool:
        """Whether this is the redirect agent of its node, and no proxy."""
        return self.role == AGENT


@dataclass(frozen=True, slots=True)
class Request:
    """One DiscoveryRequest or DeltaDiscoveryRequest.

    ``error`` is the client's text when ``error_detail`` is present, and None otherwise: its presence alone is what
    makes a NACK (11). ``names`` and ``version`` belong to state of the world; ``subscribe``, ``unsubscribe`` and
    ``initial_versions`` to delta.
    """

    type_url: str
    nonce: str = ""
    error: str | None = None
    node: ClientNode | None = None
    version: str = ""
    names: tuple[str, ...] = ()
    subscribe: tuple[str, ...] = ()
    unsubscribe: tuple[str, ...] = ()
    initial_versions: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
