"""``python -m bench``: run scenarios against every server, in turns, and print the table."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from bench.command import medians, run
from bench.driver import raise_descriptor_limit
from bench.report import table, write_between
from bench.scenarios import ALL
from bench.scenarios.scenario import Scenario
from bench.servers import TITLES


@click.command()
@click.option("--only", metavar="NAME,...", default="", help=f"Scenarios: {', '.join(one.name for one in ALL)}.")
@click.option("--servers", metavar="NAME,...", default=",".join(TITLES), show_default=True, help="Whom to measure.")
@click.option("--repetitions", default=3, show_default=True, help="Each server has its turn this often; medians count.")
@click.option("--scale", default=1.0, show_default=True, help="Size of everything; 1 is what the figures are for.")
@click.option("--write", type=click.Path(path_type=Path), help="Replace the tables in this document too.")
def main(only: str, servers: str, repetitions: int, scale: float, write: Path | None) -> None:
    """Measure nodegate beside a floor and a peer. Prints figures, asserts nothing."""
    raise_descriptor_limit()
    chosen = [one for one in ALL if not only or one.name in only.split(",")]
    tables = []
    for scenario in chosen:
        asked = [server for server in scenario.servers if server in servers.split(",")]
        results = _measure(scenario, asked, repetitions, scale)
        tables.append(table(scenario, results, scale))
        click.echo(tables[-1])
    if write is not None:
        write_between(write, *_MARKS, tables)


def _measure(
    scenario: Scenario, asked: Sequence[str], repetitions: int, scale: float
) -> dict[str, Mapping[str, float]]:
    """Let each server have its turn, several times round, and return the medians."""
    runs: dict[str, list[Mapping[str, float]]] = {server: [] for server in asked}
    for _ in range(min(repetitions, scenario.repetitions)):
        for server in asked:
            runs[server].append(scenario.measure(server, scale))
            print(f"{scenario.name} {server} {dict(runs[server][-1])}", file=sys.stderr, flush=True)
    return {server: medians(of_server) for server, of_server in runs.items()}


_MARKS = ("<!-- tables: written by bench -->", "<!-- end of tables -->")


if __name__ == "__main__":
    run(main)
