"""(e) Server CPU per stream of one endpoint change, at 100 and at 10,000 clusters.

Each stream is an Envoy's: all clusters by wildcard, then all of their endpoints by name.
"""

from __future__ import annotations

from collections.abc import Mapping

from bench.resources import cluster, endpoints, names
from bench.scenarios.scenario import Figure, Scenario, scaled
from bench.trial import Clients, Subscription, trial
from nodegate.snapshot.type_urls import CLUSTER, ENDPOINT

_CHANGES = 8

_FIGURES = (
    Figure("few_us", "at 100 clusters, µs"),
    Figure("many_us", "at 10,000 clusters, µs"),
    Figure("growth", "growth", "{:.2f}"),
)


def _cost_us(server: str, clusters: int, streams: int) -> float:
    wanted = [Subscription(CLUSTER, expect=clusters), Subscription(ENDPOINT, expect=clusters, names=[names(clusters)])]
    initial = [make(number) for number in range(clusters) for make in (cluster, endpoints)]
    with trial(server, initial) as running:
        load = running.connect(Clients("delta", streams, wanted))
        changes = [running.change(load, [endpoints(0, generation=1 + i)]) for i in range(_CHANGES)]
    return sum(change.cpu_s for change in changes[1:]) / (_CHANGES - 1) / streams * 1e6


def _measure(server: str, scale: float) -> Mapping[str, float]:
    streams = scaled(50, scale)
    few, many = (_cost_us(server, clusters, streams) for clusters in (100, scaled(10_000, scale)))
    return {"few_us": few, "many_us": many, "growth": many / few}


SCENARIO = Scenario(
    "flat-cost",
    "(e) server CPU per stream of one endpoint change; 50 delta streams, as Envoy's",
    _FIGURES,
    _measure,
    repetitions=1,
)
