"""Packets that no ordinary socket sends: the first packet of a connection, in two fragments."""

from __future__ import annotations

import socket
import struct

_SYN, _SYN_ACK = 0x02, 0x12
_MORE_FRAGMENTS = 0x2000
_ID = 7
_PORT = 40007


def answers_in_fragments(own: str, address: str, port: int, patience: float = 5.0) -> bool:
    """Send the first packet of a connection in two fragments; say whether it is answered by the second."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP) as hearing,
        socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as sending,
    ):
        hearing.settimeout(patience)
        for fragment in _fragments(own, address, port):
            sending.sendto(fragment, (address, 0))
        try:
            while not _is_answer(hearing.recv(4096), port):
                pass
        except TimeoutError:
            return False
    return True


def _fragments(own: str, address: str, port: int) -> tuple[bytes, bytes]:
    ends = socket.inet_aton(own) + socket.inet_aton(address)
    segment = struct.pack("!HHIIBBHHH", _PORT, port, 1, 0, 5 << 4, _SYN, 65535, 0, 0)
    total = _sum(ends + struct.pack("!HH", socket.IPPROTO_TCP, len(segment)) + segment)
    segment = segment[:16] + struct.pack("!H", total) + segment[18:]
    return _packet(ends, _MORE_FRAGMENTS, segment[:8]), _packet(ends, 1, segment[8:])


def _packet(ends: bytes, fragment: int, content: bytes) -> bytes:
    """Return an IPv4 packet; the kernel fills in its checksum."""
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(content), _ID, fragment, 64, socket.IPPROTO_TCP, 0)
    return head + ends + content


def _sum(data: bytes) -> int:
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xFFFF) + (total >> 16)
    return ~(total + (total >> 16)) & 0xFFFF


def _is_answer(packet: bytes, port: int) -> bool:
    segment = packet[(packet[0] & 0xF) * 4 :]
    return segment[:4] == struct.pack("!HH", port, _PORT) and segment[13] == _SYN_ACK
