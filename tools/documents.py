"""Documents that are made of the code: its problems and its annotations.

``python tools/documents.py`` writes them; ``--check`` says which are not what they should be, and exits with 1.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / folder) for folder in ("xds", "redirect", "protos")]

import nodegate  # noqa: E402  # found by the line above
from nodegate.model.problem import ProblemCode  # noqa: E402
from nodegate.translate.annotations import INGRESS_ANNOTATIONS, SERVICE_ANNOTATIONS, Annotation  # noqa: E402

MADE = "<!-- Made by `python tools/documents.py`; edit the code instead. -->"
_NOT_IMPORTED = ("nodegate.__main__",)


def main() -> int:
    """Write every document, or check it."""
    made = {"problems.md": problems(), "annotations.md": annotation_page()}
    if "--check" not in sys.argv[1:]:
        for name, text in made.items():
            (ROOT / "docs" / name).write_text(text)
        return 0
    wrong = [name for name, text in made.items() if _text(ROOT / "docs" / name) != text]
    for name in wrong:
        print(f"docs/{name}: not what the code says; run `python tools/documents.py`.")
    return 1 if wrong else 0


def _text(path: Path) -> str:
    return path.read_text() if path.exists() else ""


# --- Problems ------------------------------------------------------------------------------------------------------


def problems() -> str:
    """Return the page of every kind of problem; the heading of each is the reason of an Event."""
    lines = [MADE, "", "# Problems", "", _ABOUT_PROBLEMS]
    for code in sorted(codes(), key=lambda code: code.code):
        lines += [
            "",
            f"## {code.code}",
            "",
            f"*{code.severity.value}.* {code.meaning}",
            "",
            f"What to do: {code.remedy}",
        ]
    return "\n".join(lines) + "\n"


_ABOUT_PROBLEMS = """\
A problem is something that is wrong with one object. Everything that is not part of it goes on working. `nodegate lint`
prints problems, the debug page `/debug/` lists them, the log has a line for each that comes or goes. An *error* means
that a part of the object is not served, a *warning* that all of it is, but probably not as meant; *info* is worth
knowing."""


def codes() -> list[ProblemCode]:
    """Return every ProblemCode that a module of nodegate defines; two of one name are an error."""
    found: dict[str, ProblemCode] = {}
    for module in _modules():
        for value in vars(module).values():
            if isinstance(value, ProblemCode) and found.setdefault(value.code, value) != value:
                raise SystemExit(f"Two kinds of problem are called {value.code}; rename one of them.")
    return list(found.values())


def _modules() -> Iterator[object]:
    for info in pkgutil.walk_packages(nodegate.__path__, "nodegate."):
        if info.name not in _NOT_IMPORTED:
            yield importlib.import_module(info.name)


# --- Annotations ---------------------------------------------------------------------------------------------------


def annotation_page() -> str:
    """Return the page of every annotation."""
    lines = [MADE, "", "# Annotations", "", _ABOUT_ANNOTATIONS]
    lines += ["", "## Of an Ingress", "", "They hold for all its routes.", "", *_table(INGRESS_ANNOTATIONS)]
    lines += ["", "## Of a Service", "", "They hold whichever Ingress leads to it.", "", *_table(SERVICE_ANNOTATIONS)]
    lines += ["", "## Of others", "", *_OTHERS]
    return "\n".join(lines) + "\n"


_ABOUT_ANNOTATIONS = """\
A value that cannot be read is reported as [InvalidAnnotation](problems.md#invalidannotation) and counts as absent, but
for address ranges: what they were to keep out stays out. A name that starts with `nodegate.dev/` and is not below is
reported as [UnknownAnnotation](problems.md#unknownannotation), with the nearest one."""

_OTHERS = (
    "- `kubernetes.io/ingress.class` (Ingress): the class; it wins over `spec.ingressClassName` where both are set.",
    '- `kubernetes.io/ingress.allow-http: "false"` (Ingress): nothing is served over plain HTTP.',
    '- `ingressclass.kubernetes.io/is-default-class: "true"` (IngressClass): Ingresses without a class belong to it.',
)


def _table(listed: Iterable[Annotation]) -> list[str]:
    rows = [f"| `{annotation.key}` | `{annotation.example}` | {annotation.meaning} |" for annotation in listed]
    return ["| annotation | example | what it does |", "|---|---|---|", *rows]


if __name__ == "__main__":
    sys.exit(main())
