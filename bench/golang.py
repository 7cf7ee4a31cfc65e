"""The Go programs of the benchmarks, built once into the user's cache and again only when their source changes.

``tools/golang.py`` says which Go that is.
"""

from __future__ import annotations

import subprocess
import sys
from hashlib import blake2b
from pathlib import Path

from bench.driver import BenchError
from tools.golang import GoError, cache_folder, find_go

SOURCE = Path(__file__).resolve().parent


def programs() -> Path:
    """Return the folder with ``load``, ``traffic``, ``connections`` and ``peers``, after building them if need be."""
    folder = cache_folder() / "bench" / _source_hash()
    if not (folder / "peers").exists():
        _build(folder)
    return folder


def _build(folder: Path) -> None:
    print("Building the load generator and the peers (a few minutes, once) ...", file=sys.stderr, flush=True)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        go = find_go(SOURCE / "go.mod")
    except GoError as error:
        raise BenchError(str(error)) from error
    for name in ("load", "traffic", "connections", "peers"):  # peers last: it says that all are there
        command = [str(go), "build", "-trimpath", "-buildvcs=false", "-o", str(folder / name), f"./{name}"]
        if subprocess.call(command, cwd=SOURCE) != 0:
            raise BenchError(f"'go build ./{name}' failed in {SOURCE}; its messages are above.")


def _source_hash() -> str:
    digest = blake2b(digest_size=8)
    for path in sorted([*SOURCE.glob("go.*"), *SOURCE.rglob("*.go")]):
        digest.update(str(path.relative_to(SOURCE)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()
