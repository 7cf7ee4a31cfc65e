"""Decisions are numbered without a gap, titled by their number, and short."""

from __future__ import annotations

import re
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent.parent / "docs" / "decisions"
NAME = re.compile(r"(\d{4})-[a-z0-9-]+\.md")
LONGEST = 50  # lines; half a page of reasons, not an essay


def main() -> int:
    """Print what is wrong with the decisions."""
    wrong = [text for number, path in enumerate(sorted(FOLDER.glob("[0-9]*.md")), 1) for text in problems(number, path)]
    print("\n".join(wrong))
    return 1 if wrong else 0


def problems(number: int, path: Path) -> list[str]:
    """Return what is wrong with one decision, given the number it should have."""
    name = f"docs/decisions/{path.name}"
    if not (match := NAME.fullmatch(path.name)):
        return [f"{name}: a decision is named NNNN-words-with-hyphens.md."]
    lines = path.read_text().splitlines()
    wrong = []
    if int(match[1]) != number:
        wrong.append(f"{name}: the next number is {number:04}; numbers have no gap and no repetition.")
    if not lines or not lines[0].startswith(f"# {match[1]}. "):
        wrong.append(f"{name}: the first line is '# {match[1]}. What was decided'.")
    if len(lines) > LONGEST:
        wrong.append(f"{name}: {len(lines)} lines; a decision fits in {LONGEST}.")
    return wrong


if __name__ == "__main__":
    sys.exit(main())
