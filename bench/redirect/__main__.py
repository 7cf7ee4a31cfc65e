"""``python -m bench.redirect``: let every mode and a direct connection take turns, and print tables."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from statistics import quantiles

import click

from bench.command import medians, run
from bench.golang import programs
from bench.redirect.places import Size
from bench.redirect.site import DIRECT, MODES, TRACKED, Site, sites
from bench.report import table_of
from bench.scenarios.scenario import Figure
from nodegate_redirect.errors import RedirectError

SIZES = (Size(1), Size(100), Size(10_000), Size(10_000, 10_000))
FIGURES = (
    Figure("per_second", "connections/s"),
    Figure("rate", "/ direct", "{:.3f}"),
    Figure("rate_low", "quartiles", "{:.3f}"),
    Figure("rate_high", "", "{:.3f}"),
    Figure("flat", "/ first size", "{:.2f}"),
    Figure("cpu_us", "CPU us each", "{:.1f}"),
    Figure("cpu", "/ direct", "{:.3f}"),
    Figure("p50_us", "p50 us"),
    Figure("p99_us", "p99 us"),
)
COSTS = (
    Figure("install_ms", "install all ms"),
    Figure("compare_ms", "compare all ms"),
    Figure("change_ms", "change one, median ms", "{:.1f}"),
    Figure("change_max_ms", "at most ms", "{:.1f}"),
    Figure("look_ms", "look ms", "{:.1f}"),
    Figure("repair_ms", "flush repaired ms"),
)
TOGETHER_SECONDS, ALONE_SECONDS = 0.2, 0.1
Figures = dict[str, float]


@click.command()
@click.option("--modes", metavar="NAME,...", default=",".join((TRACKED, *MODES)), help="What to measure.")
@click.option(
    "--rounds",
    type=click.IntRange(2),
    default=8,
    show_default=True,
    help="So often everyone is compared to direct connections.",
)
@click.option("--sizes", metavar="SERVICES:LISTENERS,...", default="", help="Only these sizes.")
@click.option("--only", type=click.Choice(["connections", "rules"]), help="Leave out the other tables.")
def main(modes: str, rounds: int, sizes: str, only: str | None) -> None:
    """Measure new connections through each mode beside direct ones. Prints figures, asserts nothing. Takes root."""
    if os.geteuid() != 0:
        raise click.ClickException("Network namespaces take root: run it as root.")
    programs()  # built while nothing is measured
    chosen = [size for size in SIZES if not sizes or f"{size.services}:{size.listeners}" in sizes.split(",")]
    first: Figures = {}
    with sites(modes.split(",")) as made:
        for size in chosen:
            costs = {name: dict(site.hold(size)) for name, site in made.items()}
            if only != "rules":
                results = _connections(made, rounds)
                for name, found in results.items():
                    found["flat"] = found["rate"] / first.setdefault(name, found["rate"])
                click.echo(table_of(size.title, FIGURES, results, ""))
            if only != "connections":
                rules = {name: cost | _rules(made[name]) for name, cost in costs.items() if cost}
                click.echo(table_of(f"{size.title}: rules", COSTS, rules, ""))


def _connections(made: Mapping[str, Site], rounds: int) -> dict[str, Figures]:
    """Compare everyone to direct connections, many times; what counts is the median of the ratios."""
    turns: dict[str, list[Figures]] = {name: [] for name in made}
    ratios: dict[str, list[Figures]] = {name: [] for name in made if name != DIRECT}
    for site in made.values():
        site.together(TOGETHER_SECONDS)  # what the first connections after a change pay is not what is asked
    for number in range(rounds):
        print(f"round {number + 1} of {rounds}", file=sys.stderr, flush=True)
        for name, found in ratios.items():
            block = [(who, _turn(made[who])) for who in (DIRECT, name, name, DIRECT)]
            for who, turn in block:
                turns[who].append(turn)
            found.append(_ratio([turn for who, turn in block if who == name], [t for w, t in block if w == DIRECT]))
    results = {name: medians(of_one) for name, of_one in turns.items()}
    results[DIRECT] |= dict.fromkeys(("rate", "rate_low", "rate_high", "cpu"), 1.0)
    for name, found in ratios.items():
        low, _, high = quantiles((one["rate"] for one in found), n=4)
        results[name] |= medians(found) | {"rate_low": low, "rate_high": high}
    return results


def _rules(site: Site) -> Figures:
    return dict(site.change()) | dict(site.flush())


def _turn(site: Site) -> Figures:
    return dict(site.together(TOGETHER_SECONDS)) | dict(site.alone(ALONE_SECONDS))


def _ratio(ours: list[Figures], direct: list[Figures]) -> Figures:
    """Compare two turns to the two direct ones around them, so that a machine that gets slower harms both alike."""

    def part(key: str) -> float:
        return sum(turn[key] for turn in ours) / sum(turn[key] for turn in direct)

    return {"rate": part("per_second"), "cpu": part("cpu_us")}


if __name__ == "__main__":
    run(main, RedirectError)
