"""Where in a folder a problem is that was found without knowing of files: translation knows objects and fields only."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from nodegate.model.problem import Problem
from nodegate.model.refs import Ref
from nodegate.source.decode import decode
from nodegate.source.documents import Failure, read_documents
from nodegate.source.files.scan import read_file
from nodegate.source.finding import read_path


def locate(folder: Path, origins: Mapping[Ref, str], problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Return the problems, those of objects in ``origins`` (object -> file below ``folder``) with ``file:line``.

    The line is that of the field, or of the closest one around it that is written. Only files with problems are read,
    again: to keep every line of every file would cost who serves them memory. Does blocking I/O; a file that is gone
    meanwhile gives no line.
    """
    found = tuple(problems)
    wanted: dict[str, set[Problem]] = defaultdict(set)
    for problem in found:
        if problem.ref in origins and not problem.location:
            wanted[origins[problem.ref]].add(problem)
    places = {problem: place for path, of_file in wanted.items() for problem, place in _places(folder, path, of_file)}
    return tuple(replace(problem, location=places.get(problem, problem.location)) for problem in found)


def _places(folder: Path, path: str, problems: set[Problem]) -> Iterator[tuple[Problem, str]]:
    content = read_file(folder / path)[1]
    documents = read_documents(content, is_json=path.endswith(".json")) if isinstance(content, bytes) else ()
    left = set(problems)
    for document in () if isinstance(documents, Failure) else documents:
        for decoded in decode(document.value, document.findings):
            of_object = {problem for problem in left if problem.ref == decoded.ref}
            left -= of_object  # of an object that is written twice, the first counts
            for problem in of_object:
                line = document.lines.line_of((*decoded.path, *read_path(problem.field)))
                yield problem, f"{folder / path}:{line}"
