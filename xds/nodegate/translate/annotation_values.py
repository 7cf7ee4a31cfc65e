"""Values of annotations that are more than a number or a word. All raise UnreadableError for what they cannot read."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from urllib.parse import urlsplit

from nodegate.translate.hosts import host_fault
from nodegate.translate.options import Affinity, RateLimit, RedirectTo, Split
from nodegate.translate.quantities import UnreadableError, network, number, words
from nodegate.translate.regexes import regex_fault, wildcard_regex


def absolute_path(text: str) -> str:
    """Return an absolute path."""
    if not text.startswith("/") or any(c in "?#" or c <= " " or c >= "\x7f" for c in text):
        raise UnreadableError(f"{text!r} is no absolute path.")
    return text


def exact_host(text: str) -> str:
    """Return a DNS name in lower case, not a wildcard."""
    if text.startswith("*") or (fault := host_fault(text.lower())):
        raise UnreadableError(fault if not text.startswith("*") else f"{text!r} is a wildcard.")
    return text.lower()


def redirect_target(text: str) -> RedirectTo:
    """Return where a URL like ``https://www.example.com/new`` leads."""
    try:
        parts = urlsplit(text)
        port = parts.port or 0
    except ValueError:
        raise UnreadableError(f"{text!r} is no URL.") from None
    if parts.scheme not in {"http", "https"} or not parts.hostname or host_fault(parts.hostname):
        raise UnreadableError(f"{text!r} is no URL like https://www.example.com or https://www.example.com/new.")
    return RedirectTo(parts.scheme, parts.hostname, port, absolute_path(parts.path) if parts.path else "")


def redirect_code(text: str) -> int:
    """Return the status of a redirect."""
    if text not in {"301", "302", "303", "307", "308"}:
        raise UnreadableError(f"{text!r} is none of 301, 302, 303, 307 and 308.")
    return int(text)


def rate(text: str) -> RateLimit:
    """Return the rate of ``100/s``, ``600/m`` or ``1000/h``."""
    requests, slash, per = text.partition("/")
    seconds = {"s": 1.0, "m": 60.0, "h": 3600.0}.get(per)
    if not slash or seconds is None:
        raise UnreadableError(f"{text!r} is no rate like 100/s, 600/m or 1000/h.")
    return RateLimit(number(requests, 1, 1_000_000), seconds)


def networks(text: str) -> tuple[str, ...]:
    """Return address ranges, ordered."""
    return tuple(sorted({network(word) for word in words(text)}))


def origins(text: str) -> tuple[str, ...]:
    """Return a list of origins, in which ``*`` stands for anything."""
    listed = words(text)
    wrong = [origin for origin in listed if "*" in origin and regex_fault(wildcard_regex(origin))]
    if wrong or not listed or not text.isascii() or any(c in origin for origin in listed for c in "\"'\\"):
        raise UnreadableError(f"{text!r} is no list of origins like https://a.example, or '*'.")
    return listed


def header_list(text: str) -> str:
    """Return a list of names as one header value."""
    names = words(text)
    if not names or not all(name.replace("-", "").replace("*", "").replace("_", "").isalnum() for name in names):
        raise UnreadableError(f"{text!r} is no list of names.")
    return ", ".join(names)


def splits(text: str) -> Mapping[str, Split]:
    """Read ``web=web-next:10``: ten in a hundred of the requests for Service web go to Service web-next."""
    shares: dict[str, dict[str, int]] = {}
    for word in words(text):
        service, equals, rest = word.partition("=")
        other, colon, percent = rest.partition(":")
        if not (service and equals and other and colon) or {"/"} & set(word):
            raise UnreadableError(f"{word!r} is no split like web=web-next:10.")
        shares.setdefault(service, {})[other] = number(percent, 0, 100)
    for service, others in shares.items():
        if sum(others.values()) > 100:
            raise UnreadableError(f"The shares of Service {service!r} add up to more than 100.")
    splits = {
        service: ((service, 100 - sum(others.values())), *sorted(others.items())) for service, others in shares.items()
    }
    return MappingProxyType(splits)


def affinity(text: str) -> Affinity:
    """Return what ``client-ip``, ``cookie:NAME`` or ``header:NAME`` says."""
    by, _, name = text.partition(":")
    if by == "client-ip" and not name:
        return Affinity(by, "")
    if by in {"cookie", "header"} and name.replace("-", "").replace("_", "").isalnum() and name.isascii():
        return Affinity(by, name)
    raise UnreadableError(f"{text!r} is none of client-ip, cookie:NAME and header:NAME.")
