"""Prometheus metrics, computed from the state when they are asked for: nothing is counted twice or out of date."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import accumulate
from typing import Any

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from nodegate.debug.state import Durations, State
from nodegate.server.clients import Clients, ClientStatus
from nodegate.server.protocol.postponement import reason_of
from nodegate.server.protocol.request import AGENT
from nodegate.snapshot.type_urls import SHORT_NAME


def metrics_renderer(
    state: State, clients: Clients, version: str, more: Iterable[Collector] = ()
) -> Callable[[], bytes]:
    """Return a function that renders all metrics, and those of ``more``, in the text format of Prometheus."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(state, clients, version))
    for collector in more:
        registry.register(collector)
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    return lambda: generate_latest(registry)


Values = Mapping[Any, float]
"""Label values -> the metric's value."""


class _Collector(Collector):
    def __init__(self, state: State, clients: Clients, version: str) -> None:
        self._state = state
        self._clients = clients
        self._version = version

    def collect(self) -> Iterator[Metric]:
        """Yield every metric family."""
        yield _gauge("nodegate_build_info", "The version that runs.", ("version",), {(self._version,): 1})
        yield from _engine(self._state)
        yield from _snapshot(self._state)
        yield from _proxies(self._clients.snapshot())
        yield from _responses(self._clients)


def _engine(state: State) -> Iterator[Metric]:
    kinds = Counter((ref.kind.value,) for ref in state.objects)
    yield _gauge("nodegate_objects", "Objects the source has, by kind.", ("kind",), kinds)
    problems = Counter((problem.severity.value, problem.code) for problem in state.all_problems())
    yield _gauge("nodegate_problems", "Problems that exist now.", ("severity", "code"), problems)
    yield _gauge("nodegate_synced", "1 once the source has listed everything.", (), {(): int(state.synced)})
    yield _gauge("nodegate_snapshot_stale", "1 while what an earlier run kept is served.", (), {(): int(state.stale)})
    yield _gauge("nodegate_changes_pending", "Changed objects that wait for the hold-off.", (), {(): state.pending})
    yield _counter("nodegate_changes", "Changes the source has yielded.", (), {(): state.changes})
    yield _counter("nodegate_endpoint_updates", "Batches that went past the hold-off.", (), {(): state.fast})
    yield _counter("nodegate_internal_errors", "Times translation raised.", (), {(): state.internal_errors})
    yield _histogram("nodegate_translate_seconds", "Time to translate one batch of changes.", state.translate)


def _snapshot(state: State) -> Iterator[Metric]:
    resources = {(SHORT_NAME.get(url, url),): len(names) for url, names in state.target.types.items()}
    yield _gauge("nodegate_resources", "Resources of the current snapshot, by type.", ("type",), resources)
    yield _gauge("nodegate_snapshot_serial", "Serial of the current snapshot.", (), {(): state.target.serial})
    yield _counter("nodegate_snapshots_published", "Snapshots published.", (), {(): state.publications})
    yield _gauge(
        "nodegate_snapshot_timestamp_seconds", "When the current snapshot was published.", (), {(): state.published}
    )
    yield _gauge("nodegate_listener_ports_claimed", "Ports claimed by listeners.", (), {(): len(state.ports)})


def _proxies(clients: tuple[ClientStatus, ...]) -> Iterator[Metric]:
    connected = Counter({("delta",): 0, ("sotw",): 0})
    agents = 0
    waiting: Counter[tuple[str, ...]] = Counter()
    behind: Counter[tuple[str, ...]] = Counter()
    rejecting: Counter[tuple[str, ...]] = Counter()
    for client in clients:
        agents += client.role == AGENT
        connected[client.variant,] += client.role != AGENT
        for of_type in client.types:
            label = (SHORT_NAME.get(of_type.type_url, of_type.type_url),)
            behind[label] += not of_type.synced
            rejecting[label] += bool(of_type.rejected)
            waiting.update((client.facts.node, reason_of(words)) for words in of_type.postponed.values())
    yield _gauge(
        "nodegate_proxies", "Proxies whose streams are open, by variant of the protocol.", ("variant",), connected
    )
    yield _gauge("nodegate_proxies_behind", "Streams that do not have it all, by type.", ("type",), behind)
    yield _gauge("nodegate_proxies_rejecting", "Streams that reject something, by type.", ("type",), rejecting)
    yield _gauge("nodegate_agents", "Redirect agents that are connected.", (), {(): agents})
    text = "Redirects that the agent of a node has not installed yet, by what it says."
    yield _gauge("nodegate_redirects_not_installed", text, ("node", "reason"), waiting)


def _responses(clients: Clients) -> Iterator[Metric]:
    counts = clients.responses()
    for word, text in (("sent", "sent"), ("acked", "accepted by the proxy"), ("nacked", "rejected by the proxy")):
        values = {(short,): counts[type_url, word] for type_url, short in SHORT_NAME.items()}
        yield _counter(f"nodegate_xds_responses_{word}", f"Responses {text}, by type.", ("type",), values)


def _gauge(name: str, text: str, labels: tuple[str, ...], values: Values) -> Metric:
    return _fill(GaugeMetricFamily(name, text, labels=labels), values)


def _counter(name: str, text: str, labels: tuple[str, ...], values: Values) -> Metric:
    return _fill(CounterMetricFamily(name, text, labels=labels), values)


def _fill(family: GaugeMetricFamily | CounterMetricFamily, values: Values) -> Metric:
    for labels in sorted(values):
        family.add_metric(labels, values[labels])
    return family


def _histogram(name: str, text: str, durations: Durations) -> Metric:
    bounds: Iterable[str] = (*(f"{bound:g}" for bound in durations.bounds), "+Inf")
    counts = list(zip(bounds, accumulate(durations.counts), strict=True))
    family = HistogramMetricFamily(name, text)
    family.add_metric((), buckets=counts, sum_value=durations.total)
    return family
