"""Every `make something` that a document tells people to run is a target of the Makefile."""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
TARGET = re.compile(r"^([a-z][a-z-]*):", re.MULTILINE)
USE = re.compile(r"(?:`|^\$? *)make ([a-z][a-z-]*)", re.MULTILINE)


def main() -> int:
    """Print every use of a target that does not exist."""
    targets = set(TARGET.findall((ROOT / "Makefile").read_text()))
    wrong = [
        f"{path.relative_to(ROOT)}: make {target} is no target of the Makefile."
        for path in sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "news").glob("*.md")])
        for target in USE.findall(path.read_text())
        if target not in targets
    ]
    print("\n".join(wrong))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
