"""nodegate as its image has it: with the packages of ``requirements/run.txt`` and no others, and compiled.

The development environment is another program to measure: structlog imports rich where it is (3 MB), and where Python
is told to write no bytecode, each start compiles all of nodegate (0.15 s).
"""

from __future__ import annotations

import subprocess
import sys
from hashlib import blake2b
from pathlib import Path
from venv import EnvBuilder

from bench.driver import BenchError
from tools.golang import cache_folder

_ROOT = Path(__file__).resolve().parent.parent.parent
_LOCK = _ROOT / "requirements" / "run.txt"
_SOURCES = (_ROOT / "xds", _ROOT / "protos")


def nodegate(*arguments: str) -> list[str]:
    """Return the command that runs this checkout's nodegate in that environment; :func:`install` comes before it."""
    path = ":".join(map(str, _SOURCES))
    return ["env", f"PYTHONPATH={path}", str(_python()), "-m", "nodegate", *arguments]


def install() -> None:
    """Make the environment, once for each lock file and Python, and compile the checkout; raises BenchError."""
    python = _python()
    ready = python.parent.parent / "ready"
    if not ready.exists():
        print("Installing what nodegate needs to run (half a minute, once) ...", file=sys.stderr, flush=True)
        EnvBuilder(clear=True, with_pip=True, symlinks=True).create(python.parent.parent)
        _run(python, "-m", "pip", "install", "--quiet", "--require-hashes", "-r", str(_LOCK))
        ready.touch()
    _run(python, "-m", "compileall", "-q", *map(str, _SOURCES))


def _python() -> Path:
    made_of = blake2b(_LOCK.read_bytes() + f"{sys.version} {sys.base_prefix}".encode(), digest_size=8)
    return cache_folder() / f"nodegate-{made_of.hexdigest()}" / "bin" / "python"


def _run(python: Path, *arguments: str) -> None:
    if subprocess.call([python, *arguments], stdout=sys.stderr) != 0:
        raise BenchError(f"'{python} {' '.join(arguments)}' failed; its messages are above.")
