"""``python -m bench.redirect``: let every mode and a direct connection take turns, and print tables."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

import click

from bench.command import medians, run
from bench.golang import programs
from bench.redirect.places import Size
from bench.redirect.site import DIRECT, MODES, Site, sites
from bench.report import table_of
from bench.scenarios.scenario import Figure
from nodegate_redirect.errors import RedirectError

SIZES = (Size(1), Size(100), Size(10_000), Size(10_000, 10_000))
FIGURES = (
    Figure("per_second", "connections/s"),
    Figure("rate", "/ direct", "{:.2f} x"),
    Figure("flat", "/ one Service", "{:.2f} x"),
    Figure("cpu_us", "CPU us each", "{:.1f}"),
    Figure("p50_us", "p50 us"),
    Figure("p99_us", "p99 us"),
)
COSTS = (
    Figure("install_ms", "install all ms"),
    Figure("change_ms", "change one, median ms", "{:.1f}"),
    Figure("change_max_ms", "at most ms", "{:.1f}"),
)
Figures = dict[str, float]


@click.command()
@click.option("--modes", metavar="NAME,...", default=",".join(MODES), show_default=True, help="What to measure.")
@click.option("--repetitions", default=5, show_default=True, help="Everyone has a turn this often; medians count.")
@click.option("--services", metavar="N,...", default="", help="Only the sizes with so many Services.")
def main(modes: str, repetitions: int, services: str) -> None:
    """Measure new connections through each mode beside direct ones. Prints figures, asserts nothing. Takes root."""
    if os.geteuid() != 0:
        raise click.ClickException("Network namespaces take root: run it as root.")
    programs()  # built while nothing is measured
    chosen = [size for size in SIZES if not services or str(size.services) in services.split(",")]
    first: dict[str, float] = {}
    with sites(modes.split(",")) as made:
        for size in chosen:
            costs = {name: dict(site.hold(size)) for name, site in made.items()}
            results = _connections(made, repetitions)
            for name, found in results.items():
                found["flat"] = found["rate"] / first.setdefault(name, found["rate"])
            click.echo(table_of(size.title, FIGURES, results, ""))
            rules = {name: cost | dict(made[name].change()) for name, cost in costs.items() if cost}
            click.echo(table_of(f"{size.title}: rules", COSTS, rules, ""))


def _connections(made: Mapping[str, Site], repetitions: int) -> dict[str, Figures]:
    """Let everyone have a turn, several times round; a rate is compared to the direct one of the same round."""
    runs: dict[str, list[Figures]] = {name: [] for name in made}
    for _ in range(repetitions):
        for name, site in made.items():
            found = dict(site.connections())
            direct = found if name == DIRECT else runs[DIRECT][-1]
            runs[name].append(found | {"rate": found["per_second"] / direct["per_second"]})
            print(f"{name} {found}", file=sys.stderr, flush=True)
    return {name: medians(of_one) for name, of_one in runs.items()}


if __name__ == "__main__":
    run(main, RedirectError)
