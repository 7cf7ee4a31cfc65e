"""Where the compiled program is: in the installed package, or in the checkout that this module runs from."""

from __future__ import annotations

import hashlib
from pathlib import Path

INSTALLED = Path(__file__).with_name("redirect.bpf.o")
"""Part of every wheel, compiled when it was built."""
_CHECKOUT = Path(__file__).resolve().parents[3]
_SOURCES = ("redirect.h", "redirect.bpf.c")


def find_program() -> Path:
    """Return the object file: the wheel's, else the one that ``make bpf`` makes of the checkout's sources.

    It need not be there; the mode says so when it is used.
    """
    sources = [_CHECKOUT / "bpf" / name for name in _SOURCES]
    if INSTALLED.is_file() or not all(source.is_file() for source in sources):
        return INSTALLED
    return built(_CHECKOUT, sources)


def built(checkout: Path, sources: list[Path]) -> Path:
    """Return where the object file of these sources belongs: its name tells their content."""
    digest = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:16]
    return checkout / "build" / "bpf" / f"redirect-{digest}.bpf.o"
