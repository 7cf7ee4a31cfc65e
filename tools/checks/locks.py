"""The lock files hold every dependency of pyproject.toml, and nothing of the machine that wrote them."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
FOLDER = ROOT / "requirements"
EXTRAS = {"run.txt": (), "agent.txt": ("agent",), "dev.txt": ("agent", "dev")}
OF_THE_MACHINE = re.compile(r"://|^--|(?:^|[\s=])/")  # an address, an option for the whole file, an absolute path
PINNED = re.compile(r"^([A-Za-z0-9._-]+)==", re.MULTILINE)


def main() -> int:
    """Print what is wrong with the lock files."""
    wrong = [text for path in sorted(FOLDER.glob("*.txt")) for text in traces(path)]
    wrong += [text for name, extras in EXTRAS.items() for text in missing(name, extras)]
    print("\n".join(wrong))
    return 1 if wrong else 0


def traces(path: Path) -> list[str]:
    """Return a sentence for every address and every path in a lock file."""
    lines = path.read_text().splitlines()
    found = [number for number, line in enumerate(lines, 1) if OF_THE_MACHINE.search(line)]
    return [f"requirements/{path.name}:{line}: names an address or a path; see tools/lock.py." for line in found]


def missing(name: str, extras: tuple[str, ...]) -> list[str]:
    """Return a sentence for every dependency that a lock file does not hold."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"]]
    for extra in extras:
        wanted += project["optional-dependencies"][extra]
    pinned = {normal(found) for found in PINNED.findall((FOLDER / name).read_text())}
    absent = sorted({normal(re.split(r"[\s\[<>=!~;]", text, maxsplit=1)[0]) for text in wanted} - pinned)
    return [f"requirements/{name}: {dependency} is not locked; run make lock." for dependency in absent]


def normal(name: str) -> str:
    """Return a package's name in its one normal form (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    sys.exit(main())
