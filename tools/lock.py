"""Write the lock files in ``requirements/`` from ``pyproject.toml`` (``make lock``).

``dev.txt`` is resolved first and everything else within it, so that all of them agree. No address of a package
registry and no path of this machine goes into the files, whatever pip is configured to use.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COMMON = (
    "--quiet",
    "--generate-hashes",
    "--strip-extras",
    "--allow-unsafe",  # pip and setuptools are locked like everything else
    "--no-emit-index-url",
    "--no-emit-trusted-host",
    "--no-emit-find-links",
    "--no-config",
)
DEV = "requirements/dev.txt"
LOCKS = {
    DEV: ("--extra=agent", "--extra=dev", "pyproject.toml"),
    "requirements/run.txt": (f"--constraint={DEV}", "pyproject.toml"),
    "requirements/agent.txt": (f"--constraint={DEV}", "--extra=agent", "pyproject.toml"),
    "requirements/virtualenv.txt": ("requirements/virtualenv.in",),
}


def compile_lock(target: str, arguments: tuple[str, ...], extra: list[str]) -> None:
    """Resolve one lock file in place; what is pinned already stays unless ``--upgrade`` or the like asks for more."""
    sys.stdout.write(f"lock: {target}\n")
    sys.stdout.flush()
    subprocess.run(
        [sys.executable, "-m", "piptools", "compile", *COMMON, *extra, f"--output-file={target}", *arguments],
        cwd=ROOT,
        env={**os.environ, "CUSTOM_COMPILE_COMMAND": "make lock"},
        check=True,
        stdout=subprocess.DEVNULL,
    )


def main() -> None:
    """Compile every lock file. Arguments go to pip-compile, for example ``--upgrade-package=aiohttp``."""
    for target, arguments in LOCKS.items():
        compile_lock(target, arguments, sys.argv[1:])


if __name__ == "__main__":
    main()
