"""Files and functions stay small, and no module is named after nothing in particular (CONTRIBUTING.md)."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
FOLDERS = ("xds", "redirect", "protos", "tests", "tools", "bench")
LONGEST_FILE = 500
LONGEST_BODY = 60
EMPTY_NAMES = {"common", "helper", "helpers", "manager", "managers", "misc", "util", "utils"}


def main() -> int:
    """Print every file and function that is too long, and every name that says nothing."""
    wrong = [text for path in sources() for text in problems(path)]
    print("\n".join(wrong))
    return 1 if wrong else 0


def sources() -> Iterator[Path]:
    """Yield our Python files; generated ones are not ours."""
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            if not path.stem.endswith(("_pb2", "_pb2_grpc")):
                yield path


def problems(path: Path) -> list[str]:
    """Return what is wrong with one file."""
    name = path.relative_to(ROOT)
    text = path.read_text()
    wrong = []
    if path.stem in EMPTY_NAMES:
        wrong.append(f"{name}: name the module after what it holds.")
    if (lines := text.count("\n")) > LONGEST_FILE:
        wrong.append(f"{name}: {lines} lines; at most {LONGEST_FILE}.")
    functions = (node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return wrong + [
        f"{name}:{function.lineno}: {function.name} has a body of {lines} lines; at most {LONGEST_BODY}."
        for function in functions
        if (lines := body_lines(function)) > LONGEST_BODY
    ]


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return how many lines a function's body has, its docstring not counted."""
    statements = function.body[1:] if ast.get_docstring(function) is not None else function.body
    if not statements:
        return 0
    return (statements[-1].end_lineno or 0) - statements[0].lineno + 1


if __name__ == "__main__":
    sys.exit(main())
