"""Contour, built once from the Go module that ``bench/peers/contour/go.mod`` pins, with the CRDs that it needs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from bench.driver import BenchError
from tools.golang import GoError, cache_folder, find_go

VERSION = "1.33.8"
MODULE = Path(__file__).resolve().parent.parent / "peers" / "contour"
_PATH = "github.com/projectcontour/contour"


@dataclass(frozen=True, slots=True)
class Contour:
    """Where the program is, and the manifests of its CRDs."""

    program: Path
    crds: Path


def contour() -> Contour:
    """Return Contour, after building it if need be; raises BenchError with what to do when that cannot be."""
    folder = cache_folder() / f"contour-{VERSION}"
    found = Contour(folder / "contour", folder / "crds.yaml")
    if not (found.program.exists() and found.crds.exists()):
        folder.mkdir(parents=True, exist_ok=True)
        _build(found)
    return found


def _build(into: Contour) -> None:
    print(f"Building Contour {VERSION} (about four minutes on two cores, once) ...", file=sys.stderr, flush=True)
    try:
        go = find_go(MODULE / "go.mod")
    except GoError as error:
        raise BenchError(str(error)) from error
    _go(go, "mod", "download", _PATH)
    listed = _go(go, "list", "-m", "-f", "{{.Version}} {{.Dir}}", _PATH)
    version, _, source = listed.strip().partition(" ")
    if version != f"v{VERSION}":
        raise BenchError(f"{MODULE / 'go.mod'} pins Contour {version}, but the benchmark is about v{VERSION}.")
    unfinished = into.program.with_suffix(f".{os.getpid()}")
    _go(go, "build", "-trimpath", "-buildvcs=false", "-o", str(unfinished), f"{_PATH}/cmd/contour")
    shutil.copyfile(Path(source) / "examples" / "contour" / "01-crds.yaml", into.crds)
    unfinished.replace(into.program)


def _go(go: Path, *words: str) -> str:
    environment = {**os.environ, "CGO_ENABLED": "0", "GOWORK": "off"}
    done = subprocess.run([go, *words], cwd=MODULE, env=environment, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise BenchError(f"'go {' '.join(words)}' failed in {MODULE}; its messages are above.")
    return done.stdout
