"""The tables that say which test proves which statement of a specification (docs/*-statements.md).

A list of statements is ``docs/statements/NAME.yaml``; a test proves one when its docstring cites it, as in
``(xds-protocol 28)`` or ``(ingress.md 3, 5-7)``, and a golden case when the first lines of its manifests do. Run
without arguments, this writes the tables; with ``--check`` it says what is wrong: a statement without a test in a list
that says ``complete: true``, a citation of a statement that does not exist, a table that is out of date.
"""

from __future__ import annotations

import ast
import itertools
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
LISTS = ROOT / "docs" / "statements"
TESTS = ROOT / "tests"
PROVED_BY = {
    "server": "our server",
    "envoy": "seen in Envoy (describes clients)",
    "tolerated": "not served, tolerated",
}
_RANGE = re.compile(r"(\d+)(?:(?:-| to )(\d+))?")
_NUMBERS = r"(\d+(?:(?:-| to |, | and )\d+)*)"


@dataclass(frozen=True, slots=True)
class Statements:
    """One list of statements. ``by`` maps a number to who proves it, where that is not our server."""

    name: str
    spec: str
    title: str
    complete: bool
    texts: Mapping[int, str]
    by: Mapping[int, str]

    @property
    def page(self) -> Path:
        """The generated document."""
        return ROOT / "docs" / f"{self.name}-statements.md"


@dataclass(frozen=True, slots=True)
class Proof:
    """A test or golden case that cites a statement: its file and its name."""

    path: Path
    name: str


def main(arguments: list[str]) -> int:
    """Write the tables, or with ``--check`` print what is wrong with them."""
    wrong: list[str] = []
    for path in sorted(LISTS.glob("*.yaml")):
        statements = read(path)
        proofs = cited(statements.spec)
        if "--check" in arguments:
            wrong.extend(problems(statements, proofs))
        else:
            statements.page.write_text(table(statements, proofs))
    for line in wrong:
        print(line)
    return 1 if wrong else 0


def read(path: Path) -> Statements:
    """Return the list in a file."""
    content: dict[str, Any] = yaml.safe_load(path.read_text())
    by = {number: who for who, numbers in content.get("by", {}).items() for number in numbers}
    return Statements(path.stem, content["spec"], content["title"], content["complete"], content["statements"], by)


def cited(spec: str) -> dict[int, list[Proof]]:
    """Return the tests that cite each statement of a specification, in the order of their files."""
    names = "|".join(sorted({re.escape(spec), re.escape(spec.removesuffix(".md"))}))
    citation = re.compile(rf"\((?:[^()]*[;,] )?(?:{names}) {_NUMBERS}")
    proofs: dict[int, list[Proof]] = {}
    for proof, text in _texts():
        numbers = (number for match in citation.finditer(text) for number in numbers_in(match[1]))
        for number in dict.fromkeys(numbers):
            proofs.setdefault(number, []).append(proof)
    return proofs


def _texts() -> Iterator[tuple[Proof, str]]:
    """Yield what every golden case and every test says of itself."""
    for path in sorted(TESTS.glob("golden/*/in.yaml")):
        comment = itertools.takewhile(lambda line: line.startswith("#"), path.read_text().splitlines())
        yield Proof(path.relative_to(ROOT), "golden case"), " ".join(comment)
    for path in sorted(TESTS.rglob("test_*.py")):
        for test, text in docstrings(path):
            yield Proof(path.relative_to(ROOT), test), text


def docstrings(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the name and docstring of every test function and of every class of tests, without importing anything."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            is_test = node.name.startswith("test_") or isinstance(node, ast.ClassDef)
            if is_test and (text := ast.get_docstring(node)):
                yield node.name, text


def numbers_in(text: str) -> Iterator[int]:
    """Yield the numbers of ``1, 3, 5-7``."""
    for match in _RANGE.finditer(text):
        yield from range(int(match[1]), int(match[2] or match[1]) + 1)


def problems(statements: Statements, proofs: Mapping[int, list[Proof]]) -> Iterator[str]:
    """Yield what is wrong with a list that is complete; one that grows may lag behind."""
    if not statements.complete:
        return
    source = f"docs/statements/{statements.name}.yaml"
    for number in sorted(proofs.keys() - statements.texts.keys()):
        yield f"{proofs[number][0].path}: cites ({statements.spec} {number}), which is not in {source}."
    for number in sorted(statements.texts.keys() - proofs.keys()):
        yield f"{source}: no test cites ({statements.spec} {number}): {statements.texts[number]}"
    page = statements.page
    if not page.exists() or page.read_text() != table(statements, proofs):
        yield f"{page.relative_to(ROOT)}: is out of date; run python tools/statements.py."


def table(statements: Statements, proofs: Mapping[int, list[Proof]]) -> str:
    """Return the document of one list."""
    lines = [
        f"# {statements.title}: statements and their tests",
        "",
        f"Written by `python tools/statements.py` from `docs/statements/{statements.name}.yaml` and the tests'",
        f"docstrings, where a statement is cited as `({statements.spec} N)`.",
        "",
        "| | Statement | Proved by | Tests |",
        "|---|---|---|---|",
    ]
    for number, text in sorted(statements.texts.items()):
        who = PROVED_BY[statements.by.get(number, "server")]
        lines.append(f"| {number} | {text} | {who} | {tests_of(proofs.get(number, []))} |")
    return "\n".join([*lines, ""])


def tests_of(proofs: list[Proof]) -> str:
    """Return the tests of one statement, each file once."""
    if not proofs:
        return "none yet"
    by_file: dict[Path, list[str]] = {}
    for proof in proofs:
        by_file.setdefault(proof.path, []).append(proof.name)
    return "<br>".join(f"[{path}](../{path}): {', '.join(tests)}" for path, tests in by_file.items())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
