"""(a) One of 1,000 ClusterLoadAssignments changes; 1,000 delta streams want 10 each, the changed one among them."""

from __future__ import annotations

from collections.abc import Mapping

from bench.resources import endpoints, name_of
from bench.scenarios.scenario import CHANGE_FIGURES, Scenario, scaled
from bench.trial import Clients, Subscription, change_figures, trial
from nodegate.snapshot.type_urls import ENDPOINT

_CHANGES = 6


def ten_names(clusters: int, streams: int) -> list[list[str]]:
    """Return ten names for each stream: the first cluster's, and nine others'."""
    return [
        [name_of(0), *(name_of(1 + (9 * stream + i) % (clusters - 1)) for i in range(9))] for stream in range(streams)
    ]


def _measure(server: str, scale: float) -> Mapping[str, float]:
    clusters, streams = scaled(1000, scale), scaled(1000, scale)
    wanted = Subscription(ENDPOINT, expect=10, names=ten_names(clusters, streams))
    with trial(server, [endpoints(number) for number in range(clusters)]) as running:
        load = running.connect(Clients("delta", streams, [wanted]))
        changes = [running.change(load, [endpoints(0, generation=1 + i)]) for i in range(_CHANGES)]
    return change_figures(changes[1:])


SCENARIO = Scenario(
    "endpoint-change",
    "(a) 1 of 1,000 ClusterLoadAssignments of 20 endpoints changes; 1,000 delta streams of 10 names",
    CHANGE_FIGURES,
    _measure,
)
