"""Every link of a Markdown file to another file of the repository, and to a heading in it, leads somewhere."""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
FOLDERS = ("docs", "news", "examples", "tests", "bench", "kind")
LINK = re.compile(r"\[[^\]\n]+\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def main() -> int:
    """Print every link that leads nowhere."""
    wrong = [text for document in documents() for text in broken(document)]
    print("\n".join(wrong))
    return 1 if wrong else 0


def documents() -> list[Path]:
    """Return the Markdown files of the repository."""
    below = (path for folder in FOLDERS for path in (ROOT / folder).rglob("*.md"))
    return sorted([*ROOT.glob("*.md"), *below])


def broken(document: Path) -> list[str]:
    """Return a sentence for every link of one file that leads nowhere."""
    wrong = []
    for target in LINK.findall(FENCE.sub("", document.read_text())):
        if "://" in target or target.startswith("mailto:"):
            continue
        name, _, anchor = target.partition("#")
        path = (document.parent / name).resolve() if name else document
        if not path.exists():
            wrong.append(f"{document.relative_to(ROOT)}: the link to {target} leads to no file.")
        elif anchor and path.suffix == ".md" and anchor not in anchors(path):
            wrong.append(f"{document.relative_to(ROOT)}: the link to {target} leads to no heading.")
    return wrong


def anchors(document: Path) -> set[str]:
    """Return the anchors a renderer makes of a file's headings: lower case, words joined by hyphens."""
    headings = HEADING.findall(FENCE.sub("", document.read_text()))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


if __name__ == "__main__":
    sys.exit(main())
