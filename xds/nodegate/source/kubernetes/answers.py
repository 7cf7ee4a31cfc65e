"""What an API server answers that is not what was asked for, and why nothing was answered at all.

::

    NotServed               nothing useful came; everything known so far stays
     +-- Refused            the server answered with a Status: 401, 403, 404, 410, 422, 429, 5xx
     |    `-- Expired       410: the version to go on from is too old; list anew
     `-- Interrupted        the connection: refused, reset, closed early, or silent
          `-- Untrusted     the two sides do not accept each other's certificates
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from nodegate.errors import ClusterError

GONE = 410


class Status(msgspec.Struct, frozen=True):
    """The API's ``Status``, as far as it helps."""

    code: int = 0
    reason: str = ""
    message: str = ""


class NotServed(ClusterError):
    """A request brought nothing. ``retry_after`` is how many seconds the server asked to be left alone, if it did."""

    retry_after: float | None = None


class Refused(NotServed):
    """The server answered with an error."""

    def __init__(self, status: Status, retry_after: float | None = None) -> None:
        super().__init__(f"{status.code} {status.reason or 'error'}: {status.message}".rstrip(": "))
        self.answer = status
        self.status = status.code
        self.retry_after = retry_after


class Expired(Refused):
    """The version to go on from is too old for the server."""


class Interrupted(NotServed):
    """The connection was refused, reset, closed early, or silent for too long."""


class Untrusted(Interrupted):
    """TLS failed: a certificate, or the authority it is checked against, may have been replaced."""


def refusal(code: int, headers: Mapping[str, str], body: bytes) -> Refused:
    """Return what an HTTP answer other than 200 means; the body may be a Status, plain text, or a proxy's page."""
    try:
        status = msgspec.json.decode(body, type=Status)
    except msgspec.DecodeError:
        status = Status(message=" ".join(body.decode(errors="replace").split())[:200])
    status = Status(code, status.reason, status.message)
    return refused(status, _seconds(headers.get("Retry-After", "")))


def refused(status: Status, retry_after: float | None = None) -> Refused:
    """Return the error for a Status, as it also comes as the last event of a watch."""
    return (Expired if status.code == GONE else Refused)(status, retry_after)


def _seconds(text: str) -> float | None:
    """Read Retry-After; the API server writes seconds, never a date."""
    return float(text) if text.isascii() and text.isdigit() else None
