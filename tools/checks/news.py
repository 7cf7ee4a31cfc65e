"""Every news fragment has a kind and says something (news/README.md)."""

from __future__ import annotations

import re
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent.parent / "news"
NAME = re.compile(r"[a-z0-9-]+\.(added|changed|fixed|removed|security)\.md")


def main() -> int:
    """Print what is wrong with the fragments."""
    wrong = []
    for path in sorted(FOLDER.iterdir()):
        if path.name == "README.md":
            continue
        if not NAME.fullmatch(path.name):
            wrong.append(f"news/{path.name}: a fragment is named words-with-hyphens.KIND.md, see news/README.md.")
        elif not path.read_text().strip().endswith((".", "```")):
            wrong.append(f"news/{path.name}: a fragment is one or more full sentences.")
    print("\n".join(wrong))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
