"""Responses as bytes: shared content, and one field of the stream's own.

``common bytes + nonce field`` is a valid message, so what many streams get is joined once (finding 10).
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from google.protobuf import duration_pb2
from msgspec import Struct

from nodegate.server.protocol.request import Variant
from nodegate.snapshot.resource import Resource, field_bytes

# Field numbers of envoy.service.discovery.v3.DiscoveryResponse and DeltaDiscoveryResponse.
_VERSION, _RESOURCES, _TYPE_URL, _NONCE = 1, 2, 4, 5
_SOTW_CONTROL_PLANE = 6
_DELTA_REMOVED, _DELTA_CONTROL_PLANE = 6, 7
_CONTROL_PLANE_IDENTIFIER = 1
# envoy.service.discovery.v3.Resource and google.protobuf.Any.
_RESOURCE_VERSION, _RESOURCE_ANY, _RESOURCE_NAME, _RESOURCE_TTL = 1, 2, 3, 6
_ANY_TYPE_URL, _ANY_VALUE = 1, 2

RESOURCE_TYPE = "type.googleapis.com/envoy.service.discovery.v3.Resource"

WRAPPING_FEATURES = frozenset({"xds.config.supports-resource-in-sotw", "xds.config.supports-resource-ttl"})
"""What a state-of-the-world client has to advertise before a resource is wrapped, which a TTL takes (50)."""


class Response(Struct, frozen=True):
    """One response ready for the wire."""

    type_url: str
    nonce: str
    data: bytes


class Framing(Struct, frozen=True):
    """How resources are put into a response of one stream. ``ttl``, in seconds, is None where there is none (50)."""

    variant: Variant
    ttl: float | None = None

    def entry(self, resource: Resource) -> bytes:
        """Return a resource as one element of the response's ``resources``."""
        if self.ttl is None:
            return resource.delta_entry if self.variant is Variant.DELTA else resource.sotw_entry
        content = _any(resource.type_url, resource.body)
        return self._wrapped(resource.name, resource.version, field_bytes(_RESOURCE_ANY, content))

    def heartbeat(self, name: str, version: str) -> bytes:
        """Return the element that renews a resource's TTL and says nothing else: it has no content (50)."""
        return self._wrapped(name, version, b"")

    def _wrapped(self, name: str, version: str, content: bytes) -> bytes:
        ttl = duration_pb2.Duration()
        ttl.FromNanoseconds(round((self.ttl or 0.0) * 1e9))
        wrapper = b"".join(
            (
                field_bytes(_RESOURCE_NAME, name.encode()),
                field_bytes(_RESOURCE_VERSION, version.encode()),
                content,
                field_bytes(_RESOURCE_TTL, ttl.SerializeToString()),
            )
        )
        element = wrapper if self.variant is Variant.DELTA else _any(RESOURCE_TYPE, wrapper)
        return field_bytes(_RESOURCES, element)


def _any(type_url: str, value: bytes) -> bytes:
    return field_bytes(_ANY_TYPE_URL, type_url.encode()) + field_bytes(_ANY_VALUE, value)


def encode(
    variant: Variant,
    type_url: str,
    *,
    version: str,
    nonce: str,
    parts: Iterable[bytes],
    removed: Iterable[str] = (),
    identifier: str,
) -> bytes:
    """Return the bytes of a response. ``parts``, joined, are the resource entries of the same variant."""
    return b"".join(
        (
            *parts,
            *(field_bytes(_DELTA_REMOVED, name.encode()) for name in removed),
            field_bytes(_VERSION, version.encode()),
            _envelope(variant, type_url, identifier),
            field_bytes(_NONCE, nonce.encode()),
        )
    )


@lru_cache(maxsize=256)
def _envelope(variant: Variant, type_url: str, identifier: str) -> bytes:
    """Return the bytes that every response of a type has."""
    control_plane = field_bytes(_CONTROL_PLANE_IDENTIFIER, identifier.encode())
    number = _SOTW_CONTROL_PLANE if variant is Variant.SOTW else _DELTA_CONTROL_PLANE
    return field_bytes(_TYPE_URL, type_url.encode()) + field_bytes(number, control_plane)
