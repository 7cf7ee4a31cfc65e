"""Everything that is quick to know about the code (``make check``): style, types, layers, documents, fast tests.

All checks run, two at a time, also when one finds something; the tests come last. To add a check, put a script into
``tools/checks/``: it prints what is wrong, one sentence per line with the file's name first, and exits with 1.
"""

from __future__ import annotations

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
FAST_TESTS = ("-m", "pytest", "-x", "--quiet", "--no-header", "-m", "not slow and not full")


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one check ended, and what it said."""

    name: str
    ok: bool
    seconds: float
    output: str


def commands() -> dict[str, list[str]]:
    """Return every check but the tests, the longest first."""
    checks = {
        "types": [str(BIN / "mypy"), "--no-error-summary"],
        "style": [str(BIN / "ruff"), "check", "--quiet", "--output-format=concise"],
        "format": [str(BIN / "ruff"), "format", "--check", "--quiet"],
        "layers": [str(BIN / "lint-imports"), "--no-cache"],
    }
    scripts = sorted((ROOT / "tools" / "checks").glob("*.py"))
    return checks | {script.stem.replace("_", " "): [sys.executable, str(script)] for script in scripts}


def run(name: str, command: list[str]) -> Outcome:
    """Run one check and keep what it says."""
    start = time.monotonic()
    done = subprocess.run(
        command,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return Outcome(name, done.returncode == 0, time.monotonic() - start, done.stdout.strip())


def report(outcome: Outcome) -> bool:
    """Show how a check ended, with its output where it found something."""
    print(f"check: {'ok    ' if outcome.ok else 'FAILED'} {outcome.name} ({outcome.seconds:.1f} s)", flush=True)
    if not outcome.ok:
        print(outcome.output, flush=True)
    return outcome.ok


def main() -> int:
    """Run every check and say with the exit status whether nothing was found."""
    with ThreadPoolExecutor(2) as pool:
        passed = [report(outcome) for outcome in pool.map(run, *zip(*commands().items(), strict=True))]
    tests = subprocess.run([sys.executable, *FAST_TESTS], cwd=ROOT, check=False).returncode == 0
    return 0 if tests and all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())
