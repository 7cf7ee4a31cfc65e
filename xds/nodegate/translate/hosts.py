"""Hosts of rules and of ``tls``: which are names, and what a wildcard covers (ingress.md 1 to 5)."""

from __future__ import annotations

import re

ANY_HOST = "*"
"""The host of a rule without one: it matches whatever no other host does."""

_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_HOST = re.compile(rf"(\*\.)?{_LABEL}(\.{_LABEL})*")
_IPV4 = re.compile(r"[0-9.]+")
_LONGEST_HOST = 253
_MOST_DOTS = 18  # of a wildcard, see `one_label_regex`


def host_fault(host: str) -> str:
    """Say why a host, in lower case, cannot be served, as a sentence; empty when it can."""
    if len(host) > _LONGEST_HOST or not _HOST.fullmatch(host):
        return f"The host {host!r} is neither a DNS name nor '*.' and a DNS name."
    if _IPV4.fullmatch(host):
        return f"The host {host!r} is an IP address."
    if is_wildcard(host) and host.count(".") > _MOST_DOTS:
        return f"The wildcard {host!r} has more than {_MOST_DOTS} labels after '*', more than Envoy can count."
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
    """Return the regular expression that makes a wildcard match exactly one label.

    Envoy's own wildcard domains compare the end of a host, in any case, and match any number of labels; what is left to
    say is how many labels there are (ingress.md 3). The expression has to match an authority in full, which may end
    with a port. It says nothing of the name itself, because Envoy refuses expressions that compile to more than 100
    steps, which a long name alone would take.
    """
    return f"{_IN_LABEL}+([.]{_IN_LABEL}*){{{wildcard.count('.')}}}"


_IN_LABEL = r"[!-\-/-~]"
"""Any printable ASCII character but a dot; a negated class takes three times the steps, for the sake of UTF-8."""
