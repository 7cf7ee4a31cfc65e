"""Firewall marks and routing numbers. They are Cilium's, so that what people know holds (redirect 7, 8, 10, 13).

The low 16 bits say what a packet is, the high 16 which listener it goes to: the port in network byte order, so port
18243 (0x4743) is the mark 0x43470200 as it is printed on a little-endian machine.
"""

TO_LISTENER = 0x200
"""A packet that goes to a listener on this node. Alone it is one of a connection that a listener has accepted."""
REFUSE = 0x2FF
"""A packet to a frontend whose listener is gone: it is answered with a reset."""
UPSTREAM = 0xA00
"""Envoy's own connections: never redirected."""
LISTENER = 0xB00
"""Sockets of listeners, and those they accept."""
KIND_MASK = 0xF00
"""The bits that hold one of the kinds above."""
ENVOY, ENVOY_MASK = 0xA00, 0xE00
"""What matches the marks of all of Envoy's sockets, UPSTREAM and LISTENER."""

ROUTE_TABLE = 2004
RULE_PRIORITY = 9


def mark_of(port: int) -> int:
    """Return the mark that sends a packet to the listener on ``port``.

    >>> hex(mark_of(18243))
    '0x43470200'
    """
    return (port & 0xFF) << 24 | (port >> 8) << 16 | TO_LISTENER


def port_of(mark: int) -> int:
    """Return the port in a mark; 0 in one that refuses, or that names no port."""
    return (mark >> 24) & 0xFF | ((mark >> 16) & 0xFF) << 8
