"""``python -m bench.ingress``: cold starts, and single events at 100 and 10,000 Services, in both listener modes."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

import click

from bench.command import run
from bench.ingress.trial import DEDICATED, SHARED, Trial, trial
from bench.report import table_of, write_between
from bench.scenarios.scenario import Figure, scaled
from bench.trial import percentile
from nodegate.snapshot.type_urls import ENDPOINT, ROUTE

SIZES = (100, 10_000)
_EVENTS = 200
_WARM_UP = 10

_COLD = (
    Figure("seconds", "client has all s", "{:.2f}"),
    Figure("cpu_s", "server CPU s", "{:.2f}"),
    Figure("now_mb", "memory then MB"),
    Figure("peak_mb", "at most MB"),
)
_EVENT = (Figure("p50", "p50 ms", "{:.1f}"), Figure("p99", "p99 ms", "{:.1f}"))
_MARKS = ("<!-- ingress tables: written by bench.ingress -->", "<!-- end of ingress tables -->")

Figures = Mapping[str, float]


@click.command()
@click.option("--repetitions", default=3, show_default=True, help="Cold starts of each; medians count.")
@click.option("--scale", default=1.0, show_default=True, help="Size of everything; 1 is what the figures are for.")
@click.option("--write", type=click.Path(path_type=Path), help="Replace the tables in this document too.")
def main(repetitions: int, scale: float, write: Path | None) -> None:
    """Measure what objects cost until a client has what is made of them. Prints figures, asserts nothing."""
    cold: dict[str, Figures] = {}
    events: dict[str, dict[str, Figures]] = {"endpoints": {}, "ingress": {}, "at once": {}}
    for mode in (DEDICATED, SHARED):
        for size in (scaled(size, scale) for size in SIZES):
            row = f"{mode}, {size:,} Services"
            cold[row] = _cold(mode, size, repetitions)
            print(f"{row}: {cold[row]}", file=sys.stderr, flush=True)
            events["endpoints"][row], events["ingress"][row] = _events(mode, size, None)
            _, events["at once"][row] = _events(mode, size, 0.0)
    tables = _tables(cold, events)
    click.echo("\n".join(tables))
    if write is not None:
        write_between(write, *_MARKS, tables)


def _cold(mode: str, size: int, repetitions: int) -> Figures:
    starts = []
    for _ in range(repetitions):
        with trial(mode, size) as running:
            starts.append(running.start())
    return {figure.key: median(getattr(start, figure.key) for start in starts) for figure in _COLD}


def _events(mode: str, size: int, quiet_s: float | None) -> tuple[Figures, Figures]:
    """Return the milliseconds of an EndpointSlice event and of an Ingress event."""
    with trial(mode, size, quiet_s) as running:
        running.start()
        return _latencies(running, "endpoints", size, ENDPOINT), _latencies(running, "ingress", size, ROUTE)


def _latencies(running: Trial, kind: str, size: int, expected: str) -> Figures:
    taken = [running.change(kind, event * 37 % size, 1 + event // size, expected) for event in range(_EVENTS)]
    return {"p50": percentile(taken[_WARM_UP:], 50), "p99": percentile(taken[_WARM_UP:], 99)}


def _tables(cold: Mapping[str, Figures], events: Mapping[str, Mapping[str, Figures]]) -> Sequence[str]:
    return [
        table_of(
            "From decoded objects to a client that has everything; 10 endpoints each, an Ingress each", _COLD, cold, ""
        ),
        table_of("One EndpointSlice changes, which waits for nothing", _EVENT, events["endpoints"], ""),
        table_of("One Ingress gets another path, the hold-off of 50 ms included", _EVENT, events["ingress"], ""),
        table_of("The same with a hold-off of 0 ms: what nodegate itself takes", _EVENT, events["at once"], ""),
    ]


if __name__ == "__main__":
    run(main)
