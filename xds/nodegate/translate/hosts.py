"""Hosts of rules and of ``tls``: which are names, and what a wildcard covers (ingress.md 1 to 5)."""

from __future__ import annotations

import re

ANY_HOST = "*"
"""The host of a rule without one: it matches whatever no other host does."""

_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_HOST = re.compile(rf"(\*\.)?{_LABEL}(\.{_LABEL})*")
_IPV4 = re.compile(r"[0-9.]+")
_LONGEST_HOST = 253


def host_fault(host: str) -> str:
    """Say why a host, in lower case, cannot be served, as a sentence; empty when it can."""
    if len(host) > _LONGEST_HOST or not _HOST.fullmatch(host):
        return f"The host {host!r} is neither a DNS name nor '*.' and a DNS name."
    if _IPV4.fullmatch(host):
        return f"The host {host!r} is an IP address."
    return ""


def is_wildcard(host: str) -> bool:
    """Say whether a host is ``*.`` and a name."""
    return host.startswith("*.")


def covers(pattern: str, host: str) -> bool:
    """Say whether a wildcard's suffix is that of ``host``, over any number of labels, as Envoy compares them."""
    return is_wildcard(pattern) and host != pattern and host.endswith(pattern[1:])


def wildcards_over(host: str) -> list[str]:
    """Return every wildcard that covers a host, longest first: ``*.b.c`` and ``*.c`` for ``a.b.c`` or ``*.a.b.c``."""
    labels = host.split(".")  # the first is the one a wildcard stands for, or is "*" itself
    above = range(2 if is_wildcard(host) else 1, len(labels))
    return [f"*.{'.'.join(labels[start:])}" for start in above]


def one_label_regex(wildcard: str) -> str:
    """Return the regular expression of the authorities a wildcard of an Ingress matches: exactly one label, any case.

    Envoy's own wildcard domains match any number of labels, so every route of one has this comparison as well
    (ingress.md 3). The expression has to match in full; the port is part of an authority.
    """
    suffix = wildcard.removeprefix("*.").replace(".", "[.]")
    return f"(?i)[^.]+[.]{suffix}(:[0-9]+)?"
