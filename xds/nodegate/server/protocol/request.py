"""A discovery request of either variant, as a value.

What is made for every message is a ``msgspec.Struct``: a frozen dataclass of this size takes 0.8 µs to make, this 0.1.
"""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from envoy.service.discovery.v3.discovery_pb2 import DeltaDiscoveryRequest
from msgspec import Struct

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


class InitialVersions(Mapping[str, str]):
    """The versions of what a client says it holds from an earlier stream: name -> version (37).

    Thousands of clients may come back at once with 1,000 each, and nearly all of them are in sync. Whether one is, is
    a comparison of two messages as they are: 15 µs, where to make a dictionary of one takes 120.
    """

    __slots__ = ("_message",)

    def __init__(self, message: Any) -> None:
        """Take over a DeltaDiscoveryRequest; it is cleared of everything else."""
        for descriptor, _ in message.ListFields():
            if descriptor.name != "initial_resource_versions":
                message.ClearField(descriptor.name)
        message.DiscardUnknownFields()
        self._message = message

    @classmethod
    def of(cls, versions: Mapping[str, str]) -> InitialVersions:
        """Return these versions as a client would report them."""
        return cls(DeltaDiscoveryRequest(initial_resource_versions=versions))

    def __getitem__(self, name: str) -> str:
        return dict(self.items())[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._message.initial_resource_versions)

    def __len__(self) -> int:
        return len(self._message.initial_resource_versions)

    def items(self) -> ItemsView[str, str]:
        """Return all of them."""
        return dict(self._message.initial_resource_versions).items()

    def __eq__(self, other: object) -> bool:
        if isinstance(other, InitialVersions):
            return bool(self._message == other._message)
        return dict(self.items()) == other

    __hash__ = None  # type: ignore[assignment]  # as of any mapping that is no constant


NO_VERSIONS: Mapping[str, str] = MappingProxyType({})


class Request(Struct, frozen=True):
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
    initial_versions: Mapping[str, str] = NO_VERSIONS
