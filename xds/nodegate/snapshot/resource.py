"""One resource, serialised once and shared by all streams.

The bytes of a response are a concatenation: Protocol Buffers allows a message's fields to be written in any order and
in pieces, so the framed entry of a resource (tag, length, content) is made once and joined into every response that
carries it (xds-protocol finding 10: re-packing per stream costs 9 times the CPU).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import lru_cache
from hashlib import blake2b

from nodegate.model.refs import Ref
from nodegate.snapshot.facts import NodeFacts

Key = tuple[str, str]
"""A resource's identity: type URL and name."""

_RESOURCES_FIELD = 2  # DiscoveryResponse.resources and DeltaDiscoveryResponse.resources
_ANY_TYPE_URL, _ANY_VALUE = 1, 2  # google.protobuf.Any
_RESOURCE_VERSION, _RESOURCE_ANY, _RESOURCE_NAME = 1, 2, 3  # envoy.service.discovery.v3.Resource


class Resource:
    """One immutable resource.

    ``body`` is the serialised message, ``version`` its content hash (32 hexadecimal digits, the same on every replica
    and after every restart), ``digest`` an integer of name and version for order-independent set hashes. ``refs`` are
    the resources it names (a route's clusters, a listener's routes and secrets), ``causes`` the objects it was made
    from, most telling first. ``empty`` marks a ClusterLoadAssignment without a usable endpoint. Who makes a large body
    of parts and knows a hash of their content gives it as ``version``, of the same form.
    """

    __slots__ = (
        "_body",
        "_delta_entry",
        "_size",
        "_sotw_entry",
        "causes",
        "digest",
        "empty",
        "name",
        "refs",
        "type_url",
        "version",
    )

    def __init__(
        self,
        type_url: str,
        name: str,
        body: bytes,
        *,
        refs: tuple[Key, ...] = (),
        causes: tuple[Ref, ...] = (),
        empty: bool = False,
        version: str = "",
    ) -> None:
        self.type_url = type_url
        self.name = name
        self._body = body
        self._size = len(body)
        self.version = version or content_hash(body)
        self.digest = set_digest(name, self.version)
        self.refs = refs
        self.causes = causes
        self.empty = empty
        self._sotw_entry: bytes | None = None
        self._delta_entry: bytes | None = None

    @property
    def key(self) -> Key:
        """Type URL and name."""
        return (self.type_url, self.name)

    @property
    def body(self) -> bytes:
        """The serialised message.

        Once framed it is kept as the end of its entry only: everything twice took 50 MB for 10,000 Ingresses.
        """
        entry = self._delta_entry
        return self._body if entry is None else entry[len(entry) - self._size :]

    @property
    def sotw_entry(self) -> bytes:
        """The bytes of this resource as one element of ``DiscoveryResponse.resources``."""
        if self._sotw_entry is None:
            head = self._any_head()
            self._sotw_entry = b"".join((_field_head(_RESOURCES_FIELD, len(head) + self._size), head, self.body))
        return self._sotw_entry

    @property
    def delta_entry(self) -> bytes:
        """The bytes of this resource as one element of ``DeltaDiscoveryResponse.resources``."""
        if self._delta_entry is None:
            any_head = self._any_head()
            head = b"".join(
                (
                    field_bytes(_RESOURCE_NAME, self.name.encode()),
                    field_bytes(_RESOURCE_VERSION, self.version.encode()),
                    _field_head(_RESOURCE_ANY, len(any_head) + self._size),
                    any_head,
                )
            )
            # One copy of the body and no more: a shared route configuration has megabytes.
            self._delta_entry = b"".join((_field_head(_RESOURCES_FIELD, len(head) + self._size), head, self._body))
            self._body = b""
        return self._delta_entry

    def resolve(self, facts: NodeFacts) -> Resource:
        """Return this very resource: it does not depend on any fact."""
        del facts
        return self

    def _any_head(self) -> bytes:
        """Return the ``Any`` around the body, up to where the body begins."""
        return _type_field(self.type_url) + _field_head(_ANY_VALUE, self._size)

    def __repr__(self) -> str:
        """Name the resource, never its content (it may be a private key)."""
        return f"Resource({self.type_url.rpartition('.')[2]} {self.name} {self.version[:8]})"


class Faceted:
    """A resource whose content depends on facts of the client; each distinct facet is made once, on demand.

    ``facet_of`` picks the part of the facts that matters, ``make`` serialises the body for one such facet. ``version``
    has to be a content hash of everything that ``make`` uses. Both functions are pure.
    """

    __slots__ = ("_made", "_make", "causes", "empty", "facet_of", "name", "refs", "type_url", "version")

    def __init__(
        self,
        type_url: str,
        name: str,
        version: str,
        facet_of: Callable[[NodeFacts], Hashable],
        make: Callable[[Hashable], bytes],
        *,
        refs: tuple[Key, ...] = (),
        causes: tuple[Ref, ...] = (),
        empty: bool = False,
    ) -> None:
        self.type_url = type_url
        self.name = name
        self.version = version
        self.refs = refs
        self.causes = causes
        self.empty = empty
        self.facet_of = facet_of
        self._make = make
        self._made: dict[Hashable, Resource] = {}

    @property
    def key(self) -> Key:
        """Type URL and name."""
        return (self.type_url, self.name)

    def resolve(self, facts: NodeFacts) -> Resource:
        """Return the resource for a client with these facts; equal facets give the very same object."""
        facet = self.facet_of(facts)
        made = self._made.get(facet)
        if made is None:
            body = self._make(facet)
            made = Resource(self.type_url, self.name, body, refs=self.refs, causes=self.causes, empty=self.empty)
            self._made[facet] = made
        return made

    def __repr__(self) -> str:
        """Name the resource and how many facets of it exist."""
        return f"Faceted({self.type_url.rpartition('.')[2]} {self.name} {self.version[:8]}, {len(self._made)} made)"


Entry = Resource | Faceted
"""What a target holds under a name."""


def content_hash(*parts: bytes) -> str:
    """Return the content hash of some bytes: 128 bits of BLAKE2b as 32 hexadecimal digits."""
    digest = blake2b(digest_size=16)
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def set_digest(name: str, version: str) -> int:
    """Return the number that one resource adds to the order-independent hash of a set of them."""
    return int.from_bytes(blake2b(f"{name}\0{version}".encode(), digest_size=16).digest())


def set_version(digest: int) -> str:
    """Return the ``version_info`` of a set: the sum of its resources' digests, modulo 2**128, in hexadecimal."""
    return f"{digest % (1 << 128):032x}"


def field_bytes(number: int, content: bytes) -> bytes:
    """Return a length-delimited Protocol Buffers field: tag, length, content."""
    return _field_head(number, len(content)) + content


@lru_cache(maxsize=256)
def _type_field(type_url: str) -> bytes:
    """Return the field of an ``Any`` that says its type."""
    return field_bytes(_ANY_TYPE_URL, type_url.encode())


@lru_cache(maxsize=4096)
def _field_head(number: int, size: int) -> bytes:
    """Return the tag and length of a length-delimited field.

    Sizes repeat: to remember them makes framing 40,000 resources take 0.06 s in place of 0.16 s.
    """
    return _varint(number << 3 | 2) + _varint(size)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
