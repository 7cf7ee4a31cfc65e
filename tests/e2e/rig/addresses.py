"""Addresses nobody else uses: tests may run beside each other on one machine."""

from __future__ import annotations

import secrets
import socket


def free_port(host: str = "127.0.0.1") -> int:
    """Return a TCP port that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def own_loopback() -> str:
    """Return a loopback address of its own: any port on it is free, but for one chance in eight million."""
    return f"127.{128 + secrets.randbelow(127)}.{secrets.randbelow(255)}.{1 + secrets.randbelow(254)}"
