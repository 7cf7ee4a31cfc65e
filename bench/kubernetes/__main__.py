"""``python -m bench.kubernetes``: let nodegate and Contour take turns at one real Kubernetes API, and print tables."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

import click

from bench.command import medians, run
from bench.driver import raise_descriptor_limit
from bench.golang import programs
from bench.kubernetes import namespace
from bench.kubernetes.contour import contour
from bench.kubernetes.installed import install
from bench.kubernetes.scenario import Figures, Scenario
from bench.kubernetes.servers import CONTOUR, NODEGATE, SERVERS
from bench.kubernetes.site import Site, running_site
from bench.kubernetes.start import PATCH, START
from bench.kubernetes.traffic import ALONE, AMONG_OTHERS, LOST
from bench.report import table_of
from bench.scenarios.scenario import scaled
from tools.kubernetes import AssetsError, assets

ALL = (ALONE, LOST, AMONG_OTHERS, START, PATCH)
"""In the order of how many objects there have to be: none is ever removed."""
_PAIR = f"{NODEGATE},{CONTOUR}"


@click.command()
@click.option("--only", metavar="NAME,...", default="", help=f"Scenarios: {', '.join(one.name for one in ALL)}.")
@click.option("--servers", metavar="NAME,...", default=_PAIR, show_default=True, help=f"Of {', '.join(SERVERS)}.")
@click.option("--repetitions", default=1, show_default=True, help="Each server has its turn this often; medians count.")
@click.option("--scale", default=1.0, show_default=True, help="Size of everything; 1 is what the figures are for.")
def main(only: str, servers: str, repetitions: int, scale: float) -> None:
    """Measure nodegate beside Contour against a real Kubernetes API. Prints figures, asserts nothing."""
    install()
    contour(), programs(), assets()  # what has to be built is built while there is a network
    namespace.enter()
    raise_descriptor_limit()
    chosen = [one for one in ALL if not only or one.name in only.split(",")]
    with running_site() as site:
        for scenario in chosen:
            site.fill(scaled(scenario.others, scale) if scenario.others else 0)
            asked = [server for server in scenario.servers if server in servers.split(",")]
            click.echo(_table(scenario, _measure(site, scenario, asked, repetitions, scale), scale))


def _measure(
    site: Site, scenario: Scenario, servers: Sequence[str], repetitions: int, scale: float
) -> dict[str, Figures]:
    """Let each server have its turn, several times round, and return the medians."""
    runs: dict[str, list[Figures]] = {server: [] for server in servers}
    for _ in range(repetitions):
        for server in servers:
            runs[server].append(scenario.measure(site, server, scale))
            print(f"{scenario.name} {server} {dict(runs[server][-1])}", file=sys.stderr, flush=True)
    return {server: medians(found) for server, found in runs.items()}


def _table(scenario: Scenario, results: Mapping[str, Figures], scale: float) -> str:
    title = scenario.title if scale == 1.0 else f"{scenario.title}, at scale {scale:g}"
    titled = {SERVERS[server].title: figures for server, figures in results.items()}
    return table_of(title, scenario.figures, titled, SERVERS[NODEGATE].title)


if __name__ == "__main__":
    run(main, AssetsError)
