"""(b) All of 1,000 clusters change; 500 streams want them all."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from bench.resources import cluster
from bench.scenarios.scenario import CHANGE_FIGURES, Scenario, scaled
from bench.trial import Clients, Subscription, change_figures, trial
from nodegate.snapshot.type_urls import CLUSTER

_CHANGES = 4


def _measure(variant: str, server: str, scale: float) -> Mapping[str, float]:
    clusters, streams = scaled(1000, scale), scaled(500, scale)
    everything = Subscription(CLUSTER, expect=clusters)
    with trial(server, [cluster(number) for number in range(clusters)]) as running:
        load = running.connect(Clients(variant, streams, [everything]))
        changes = [
            running.change(load, [cluster(number, generation=1 + i) for number in range(clusters)])
            for i in range(_CHANGES)
        ]
    return change_figures(changes[1:])


SOTW = Scenario(
    "cluster-change-sotw",
    "(b) all of 1,000 clusters change; 500 state-of-the-world streams",
    CHANGE_FIGURES,
    partial(_measure, "sotw"),
)
DELTA = Scenario(
    "cluster-change-delta",
    "(b) all of 1,000 clusters change; 500 delta streams",
    CHANGE_FIGURES,
    partial(_measure, "delta"),
)
