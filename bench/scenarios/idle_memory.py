"""(d) Resident memory per idle stream, with 10 names and with a wildcard over 10,000 clusters.

A tenth of the streams connects first, so that what all streams share is not counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from bench.driver import Memory, ServerProcess
from bench.resources import Body, cluster, endpoints
from bench.scenarios.endpoint_change import ten_names
from bench.scenarios.scenario import Figure, Scenario, scaled
from bench.trial import Clients, Subscription, trial
from nodegate.snapshot.type_urls import CLUSTER, ENDPOINT

_FIGURES = (
    Figure("stream_kb", "kB per idle stream", "{:.1f}"),
    Figure("server_mb", "server memory MB"),
    Figure("peak_mb", "at most MB"),
)


def _growth(server: str, initial: list[Body], clients: Clients) -> Mapping[str, float]:
    first = clients.streams // 10
    with trial(server, initial) as running:
        running.connect(replace(clients, streams=first, prefix="first-"))
        before = _idle_memory(running.server)
        running.connect(replace(clients, streams=clients.streams - first))
        after = _idle_memory(running.server)
    return {
        "stream_kb": (after.now_mb - before.now_mb) * 1000 / (clients.streams - first),
        "server_mb": after.now_mb,
        "peak_mb": after.peak_mb,
    }


def _idle_memory(server: ServerProcess) -> Memory:
    server.settled_cpu_s()
    return server.memory()


def _ten_names(server: str, scale: float) -> Mapping[str, float]:
    clusters, streams = scaled(1000, scale), scaled(1000, scale)
    wanted = Subscription(ENDPOINT, expect=10, names=ten_names(clusters, streams))
    return _growth(server, [endpoints(number) for number in range(clusters)], Clients("delta", streams, [wanted]))


def _wildcard(server: str, scale: float) -> Mapping[str, float]:
    clusters, streams = scaled(10_000, scale), scaled(500, scale)
    everything = Subscription(CLUSTER, expect=clusters)
    return _growth(server, [cluster(number) for number in range(clusters)], Clients("delta", streams, [everything]))


TEN_NAMES = Scenario("idle-names", "(d) 1,000 idle delta streams of 10 names", _FIGURES, _ten_names)
WILDCARD = Scenario(
    "idle-wildcard", "(d) 500 idle delta streams with a wildcard over 10,000 clusters", _FIGURES, _wildcard
)
