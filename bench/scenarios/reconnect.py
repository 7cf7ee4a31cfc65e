"""(c) 1,000 delta streams come back at once and say which versions they have; nothing has changed.

A wildcard is to be answered, with nothing in it (xds-protocol 36, 37). Names are another matter: Envoy waits for the
answer to each name it subscribes to, also next to a matching version (28, 38), so the protocol wants those sent again;
a server that resends none of them leaves an Envoy that was warming without its endpoints.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import nan

from bench.resources import Body, cluster, endpoints
from bench.scenarios.endpoint_change import ten_names
from bench.scenarios.scenario import Figure, Scenario, scaled
from bench.trial import Clients, Subscription, percentile, trial
from nodegate.snapshot.type_urls import CLUSTER, ENDPOINT

_QUIET_S = 1.0

_FIGURES = (
    Figure("resent", "resources resent per stream", "{:.1f}"),
    Figure("p50_ms", "answered p50 ms"),
    Figure("last_ms", "last ms"),
    Figure("silent", "streams not answered"),
    Figure("cpu_s", "server CPU s", "{:.3f}"),
    Figure("peak_mb", "server memory MB"),
)


def _storm(server: str, initial: list[Body], clients: Clients) -> Mapping[str, float]:
    with trial(server, initial) as running:
        load = running.connect(clients)
        running.server.forget_peak()
        before = running.server.settled_cpu_s()
        report = load.tell("reconnect", quiet_s=_QUIET_S)
        cpu_s = running.server.settled_cpu_s() - before
        peak_mb = running.server.memory().peak_mb
    waits = [(at - report["start_ns"]) / 1e6 for at in report["arrivals_ns"]] or [nan]
    return {
        "resent": report["resources"] / clients.streams,
        "p50_ms": percentile(waits, 50),
        "last_ms": max(waits),
        "silent": report["silent"],
        "cpu_s": cpu_s,
        "peak_mb": peak_mb,
    }


def _wildcard(server: str, scale: float) -> Mapping[str, float]:
    clusters, streams = scaled(1000, scale), scaled(1000, scale)
    everything = Subscription(CLUSTER, expect=clusters)
    initial = [cluster(number) for number in range(clusters)]
    return _storm(server, initial, Clients("delta", streams, [everything], keep_versions=True))


def _named(server: str, scale: float) -> Mapping[str, float]:
    clusters, streams = scaled(1000, scale), scaled(1000, scale)
    wanted = Subscription(ENDPOINT, expect=10, names=ten_names(clusters, streams))
    initial = [endpoints(number) for number in range(clusters)]
    return _storm(server, initial, Clients("delta", streams, [wanted], keep_versions=True))


CLUSTERS = Scenario(
    "reconnect-wildcard",
    "(c) 1,000 delta streams reconnect with the versions of all 1,000 clusters",
    _FIGURES,
    _wildcard,
)
ENDPOINTS = Scenario(
    "reconnect-names",
    "(c) 1,000 delta streams reconnect, asking for 10 ClusterLoadAssignments by name, with their versions",
    _FIGURES,
    _named,
)
