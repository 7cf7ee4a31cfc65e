"""Keys and values of the program's maps as bytes. Pure. The layouts are those of bpf/redirect.h."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from ipaddress import IPv6Address, ip_address, ip_network

from nodegate_redirect.contract import Place
from nodegate_redirect.mode import Count
from nodegate_redirect.plan import Target

EVENTS = (
    "to_listener",
    "by_cookie",
    "established",
    "late",
    "refused",
    "forbidden",
    "failed",
    "not_understood",
)
"""The names of ``enum event``, in its order."""

CLIENT = b"\1"
"""The value of every element of ``clients``."""

PLACE_SIZE, TARGET_SIZE, COUNT_SIZE, CLIENT_SIZE = 20, 4, 24, 40
_COUNT = struct.Struct("=QQQ")
_MAPPED = bytes(10) + b"\xff\xff"
_PLACE_BITS = 8 * PLACE_SIZE
_IPV4_BITS = 96  # of an address in the form ::ffff:a.b.c.d, before the four bytes of IPv4


def place_key(place: Place) -> bytes:
    """Return ``struct place``."""
    return _address(place.address) + place.port.to_bytes(2, "big") + bytes(2)


def place_of(key: bytes) -> Place:
    """Return the place of a key."""
    packed = key[:16]
    address = ip_address(packed[12:]) if packed.startswith(_MAPPED) else IPv6Address(packed)
    return Place(str(address), int.from_bytes(key[16:18], "big"))


def target_value(target: Target) -> bytes:
    """Return ``struct target``."""
    return target.port.to_bytes(2, "big") + bytes([target.ranges is not None, 0])


def port_of(value: bytes) -> int:
    """Return the port in a ``struct target``."""
    return int.from_bytes(value[:2], "big")


def count_of(value: bytes) -> Count:
    """Return a ``struct count``."""
    return Count(*_COUNT.unpack(value))


def client_keys(targets: Mapping[Place, Target]) -> Iterator[bytes]:
    """Yield ``struct client`` for every client network of every restricted place."""
    for place, target in targets.items():
        for network in map(ip_network, target.ranges or ()):
            if network.version == place.family:
                bits = _PLACE_BITS + network.prefixlen + (_IPV4_BITS if network.version == 4 else 0)
                yield struct.pack("=I", bits) + place_key(place) + _address(str(network.network_address))


def _address(text: str) -> bytes:
    packed = ip_address(text).packed
    return packed if len(packed) == 16 else _MAPPED + packed
