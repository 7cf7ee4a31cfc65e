"""The tables: Markdown that is also legible in a terminal."""

from __future__ import annotations

import os
import platform
import shlex
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from math import isnan
from pathlib import Path

from bench.scenarios.scenario import Figure, Scenario
from bench.servers import NODEGATE, TITLES

Results = Mapping[str, Mapping[str, float]]
"""By server, then by figure."""


def table(scenario: Scenario, results: Results, scale: float = 1.0) -> str:
    """Return one scenario's figures, and under them nodegate's in relation to each other server's."""
    title = scenario.title if scale == 1.0 else f"{scenario.title}, at scale {scale:g}"
    titled = {TITLES[server]: results[server] for server in scenario.servers if server in results}
    return table_of(title, scenario.figures, titled, TITLES[NODEGATE])


def table_of(title: str, figures: Sequence[Figure], results: Results, ours: str) -> str:
    """Return the figures of each server by its title, and under them ours in relation to each other's."""
    rows = [["", *(figure.heading for figure in figures)]]
    rows += [[name, *(_value(figure, found[figure.key]) for figure in figures)] for name, found in results.items()]
    for name, found in results.items():
        if ours in results and name != ours:
            rows.append([f"{ours} / {name}", *(_ratio(figure, results[ours], found) for figure in figures)])
    return f"### {title}\n\n{_aligned(rows)}\n"


def write_between(document: Path, begin: str, end: str, tables: Sequence[str]) -> None:
    """Put tables into a document in place of what is between two marks, and when and where they were measured."""
    before, _, rest = document.read_text().partition(begin)
    _, _, after = rest.partition(end)
    module = Path(sys.argv[0]).parent.relative_to(Path.cwd()).as_posix().replace("/", ".")
    command = shlex.join(["python", "-m", module, *sys.argv[1:]])
    machine = f"{os.cpu_count()} CPUs, Python {platform.python_version()}"
    run = f"Last run: {datetime.now(UTC):%Y-%m-%d}, {machine}: `{command}`"
    document.write_text(f"{before}{begin}\n{run}\n\n" + "\n".join(tables) + f"{end}{after}")


def _value(figure: Figure, value: float) -> str:
    return "never" if isnan(value) else figure.form.format(value)


def _ratio(figure: Figure, ours: Mapping[str, float], theirs: Mapping[str, float]) -> str:
    below = theirs[figure.key]
    return f"{ours[figure.key] / below:.2f} x" if below and not isnan(below) else "-"


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "| "
        + " | ".join(
            cell.rjust(width) if i else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        + " |"
        for row in rows
    ]
    rule = "|" + "|".join("-" * (width + 1) + (":" if i else "-") for i, width in enumerate(widths)) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])
