"""Responses as bytes: shared content, and one field of the stream's own.

``common bytes + nonce field`` is a valid message, so what many streams get is joined once (finding 10).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from nodegate.server.protocol.request import Variant
from nodegate.snapshot.resource import field_bytes

# Field numbers of envoy.service.discovery.v3.DiscoveryResponse and DeltaDiscoveryResponse.
_VERSION, _TYPE_URL, _NONCE = 1, 4, 5
_SOTW_CONTROL_PLANE = 6
_DELTA_REMOVED, _DELTA_CONTROL_PLANE = 6, 7
_CONTROL_PLANE_IDENTIFIER = 1


@dataclass(frozen=True, slots=True)
class Response:
    """One response ready for the wire. ``resources`` and ``removed`` count what it carries."""

    type_url: str
    nonce: str
    data: bytes
    resources: int
    removed: int


def encode(
    variant: Variant,
    type_url: str,
    *,
    version: str,
    nonce: str,
    body: bytes,
    removed: Iterable[str] = (),
    identifier: str,
) -> bytes:
    """Return the bytes of a response. ``body`` is the joined resource entries of the same variant."""
    control_plane = field_bytes(_CONTROL_PLANE_IDENTIFIER, identifier.encode())
    number = _SOTW_CONTROL_PLANE if variant is Variant.SOTW else _DELTA_CONTROL_PLANE
    return b"".join(
        (
            body,
            *(field_bytes(_DELTA_REMOVED, name.encode()) for name in removed),
            field_bytes(_VERSION, version.encode()),
            field_bytes(_TYPE_URL, type_url.encode()),
            field_bytes(number, control_plane),
            field_bytes(_NONCE, nonce.encode()),
        )
    )
