"""Mutation tests of the protocol's state machines (``make mutants``).

mutmut changes one small thing at a time in ``nodegate/server/protocol`` and runs the tests that pass through it. A
change that all of them pass, a survivor, is a test that is missing or a change that makes no difference. Those of the
second kind are listed with their reason in ``docs/mutants.md``; any other survivor fails the run, and so does a line
of the list that is no survivor any more.

Arguments are patterns of mutants to try (``nodegate.server.protocol.ledger.*``); without any, all are tried and the
list is checked as a whole. What ran before and did not change is not run again; ``--anew`` forgets it.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from mutmut.mutation.data import SourceFileMutationData
from mutmut.mutation.diff_apply import get_diff_for_mutant
from mutmut.stats import status_by_exit_code
from mutmut.utils.file_utils import walk_mutatable_files

ROOT = Path(__file__).resolve().parent.parent
PLACE = ROOT / "build" / "mutants"
SETTINGS = ROOT / "tools" / "mutants.toml"
LIST = ROOT / "docs" / "mutants.md"
TESTS = ("conftest.py", "protocol", "unit/server")
UNNOTICED = {"survived", "no tests", "suspicious", "not checked", "segfault"}

_CONFTEST = '''"""Quick tests first: most mutants end with them."""


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: item.get_closest_marker("slow") is not None)
'''


@dataclass(frozen=True, slots=True, order=True)
class Survivor:
    """One change that no test noticed: where it was made, and the lines before and after."""

    where: str
    was: str
    becomes: str

    def __str__(self) -> str:
        """Return it as the beginning of its row in the list."""
        return f"| {self.where} | {_cell(self.was)} | {_cell(self.becomes)} |"


def prepare() -> None:
    """Lay out what mutmut reads. Files that did not change keep their time, and so their results."""
    _mirror(ROOT / "xds" / "nodegate", PLACE / "src" / "nodegate")
    for name in TESTS:
        _mirror(ROOT / "tests" / name, PLACE / "tests" / name)
    (PLACE / "conftest.py").write_text(_CONFTEST)
    shutil.copyfile(SETTINGS, PLACE / "pyproject.toml")
    for stale in (PLACE / "mutants" / "src").rglob("*.py"):
        source = PLACE / stale.relative_to(PLACE / "mutants")
        if not source.exists() or source.stat().st_mtime > stale.stat().st_mtime:
            stale.unlink()  # mutmut copies only what is not there


def _mirror(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_file():
        shutil.copy2(source, target)
        return
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "*_pb2*"))


def run(patterns: Sequence[str]) -> None:
    """Run mutmut on the mutants that the patterns name, or on all."""
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    subprocess.run([sys.executable, "-m", "mutmut", "run", *patterns], cwd=PLACE, env=environment, check=True)


def outcomes(patterns: Sequence[str]) -> Iterator[tuple[str, Path, str]]:
    """Yield each mutant, the file it is in, and how it ended."""
    for path in walk_mutatable_files():
        data = SourceFileMutationData(path=path)
        data.load()
        for name, code in data.exit_code_by_key.items():
            if not patterns or any(fnmatch(name, pattern) for pattern in patterns):
                yield name, path, status_by_exit_code[code]


def survivor(name: str, path: Path) -> Survivor:
    """Return what a mutant changes, in words that stay the same while other code moves."""
    lines = [line for line in get_diff_for_mutant(name, path=path).splitlines() if not re.match(r"---|\+\+\+|@@", line)]
    was = " ".join(line[1:].strip() for line in lines if line.startswith("-"))
    becomes = " ".join(line[1:].strip() for line in lines if line.startswith("+"))
    function = re.sub(r"x_|xǁ", "", name.rpartition(".")[2].partition("__mutmut_")[0]).replace("ǁ", ".")
    return Survivor(f"{path.stem} `{function}`", was, becomes)


def listed() -> dict[str, str]:
    """Return the rows of the list -> the reason why each is there."""
    rows = {}
    for line in LIST.read_text().splitlines():
        if found := re.match(r"(\| \w+ `.+` \|) (?P<reason>[^|]+) \|$", line):
            rows[found[1]] = found["reason"]
    return rows


def _cell(code: str) -> str:
    return f"`{code}`".replace("|", "\\|")


def judge(patterns: Sequence[str]) -> int:
    """Compare the survivors with the list, print what is wrong, and return the exit status."""
    ends = list(outcomes(patterns))
    found = Counter(str(survivor(name, path)) for name, path, end in ends if end in UNNOTICED)
    known = listed()
    for row in sorted(found.keys() - known.keys()):
        print(f"{row}  <- no test notices: write one, or list it in {LIST.relative_to(ROOT)} with the reason")
    gone = [] if patterns else sorted(known.keys() - found.keys())
    for row in gone:
        print(f"{row}  <- is listed in {LIST.relative_to(ROOT)}, but a test notices it now: take it out")
    counts = ", ".join(f"{count} {end}" for end, count in Counter(end for _, _, end in ends).most_common())
    print(f"mutants: {len(ends)}: {counts}; {len(found.keys() & known.keys())} of the survivors are listed")
    return 1 if gone or found.keys() - known.keys() else 0


def main() -> int:
    """Prepare, run and judge."""
    arguments = [one for one in sys.argv[1:] if one != "--anew"]
    known = PLACE / "pyproject.toml"
    if "--anew" in sys.argv or not known.exists() or known.read_text() != SETTINGS.read_text():
        shutil.rmtree(PLACE, ignore_errors=True)
    PLACE.mkdir(parents=True, exist_ok=True)
    os.chdir(PLACE)
    prepare()
    run(arguments)
    return judge(arguments)


if __name__ == "__main__":
    sys.exit(main())
