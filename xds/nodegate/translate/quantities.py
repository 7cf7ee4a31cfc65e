"""Quantities as people write them in annotations."""

from __future__ import annotations

import re
from ipaddress import ip_network

_DURATION_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_LONGEST = 86_400.0 * 365
_SIZE = re.compile(r"([0-9]+)(|k|m|g|Ki|Mi|Gi)")
_BYTES = {"": 1, "k": 1000, "m": 1000**2, "g": 1000**3, "Ki": 1024, "Mi": 1024**2, "Gi": 1024**3}
_LARGEST = 2**32 - 1  # Envoy counts them in 32 bits


class UnreadableError(ValueError):
    """A value is not what it should be. The text is a sentence that says what it should be."""


def duration(text: str) -> float:
    """Return seconds of ``1m30s``, ``250ms`` or ``0``; raise :class:`UnreadableError` for anything else."""
    if text == "0":
        return 0.0
    parts = _DURATION_PART.findall(text)
    total = sum(float(number) * _SECONDS[unit] for number, unit in parts)
    if not parts or "".join(number + unit for number, unit in parts) != text or total > _LONGEST:
        raise UnreadableError(f"{text!r} is no duration like 30s, 1m30s, 250ms or 0.")
    return total


def size(text: str) -> int:
    """Return bytes of ``8Mi``, ``500k`` or ``1024``; raise :class:`UnreadableError` for anything else."""
    match = _SIZE.fullmatch(text)
    total = int(match[1]) * _BYTES[match[2]] if match and len(match[1]) < 12 else 0
    if not 0 < total <= _LARGEST:
        raise UnreadableError(f"{text!r} is no size from 1 to 4294967295 bytes, like 8Mi, 500k or 1024.")
    return total


def number(text: str, lowest: int, highest: int) -> int:
    """Return a whole number in a range; raise :class:`UnreadableError` for anything else."""
    if not re.fullmatch("[0-9]{1,9}", text) or not lowest <= int(text) <= highest:
        raise UnreadableError(f"{text!r} is no whole number from {lowest} to {highest}.")
    return int(text)


def truth(text: str) -> bool:
    """Return whether ``true`` or ``false`` is said; raise :class:`UnreadableError` for anything else."""
    if text.lower() not in {"true", "false"}:
        raise UnreadableError(f"{text!r} is neither 'true' nor 'false'.")
    return text.lower() == "true"


def words(text: str) -> tuple[str, ...]:
    """Return the non-empty parts of a list written with commas or blanks."""
    return tuple(part for part in re.split(r"[,\s]+", text) if part)


def network(text: str) -> str:
    """Return an address range like ``10.0.0.0/8`` in its canonical form; an address alone is a range of one."""
    try:
        if "%" not in text:  # an address's scope means something on one machine only
            return str(ip_network(text, strict=False))
    except ValueError:
        pass
    raise UnreadableError(f"{text!r} is no IP range like 10.0.0.0/8 or 2001:db8::/32.")
