"""Compile ``bpf/redirect.bpf.c`` (``make bpf``): once for each content, into ``build/bpf``."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCES = (ROOT / "bpf" / "redirect.h", ROOT / "bpf" / "redirect.bpf.c")
BUILT = ROOT / "build" / "bpf"


def build() -> Path:
    """Return the object file made from the sources that are here, compiling them when there is none yet.

    Raises FileNotFoundError where there is no clang, and CalledProcessError with its output when it finds fault.
    """
    digest = hashlib.sha256(b"".join(source.read_bytes() for source in SOURCES)).hexdigest()[:16]
    target = BUILT / f"redirect-{digest}.bpf.o"
    if target.is_file():
        return target
    BUILT.mkdir(parents=True, exist_ok=True)
    return compiled(SOURCES[-1], target)


def compiled(source: Path, target: Path) -> Path:
    """Compile a program; its object file is there as a whole or not at all."""
    clang = shutil.which("clang")
    if clang is None:
        raise FileNotFoundError("There is no clang here. Install it (Debian: clang, libbpf-dev, linux-libc-dev).")
    half = target.with_suffix(f".{os.getpid()}")
    includes = [f"-idirafter{folder}" for folder in sorted(Path("/usr/include").glob("*-linux-gnu"))]
    options = ["-O2", "-g", "-Wall", "-Werror", "-target", "bpf", "-mcpu=v3", *includes]
    subprocess.run([clang, *options, "-c", str(source), "-o", str(half)], check=True)
    half.rename(target)
    return target


if __name__ == "__main__":
    sys.stdout.write(f"{build()}\n")
