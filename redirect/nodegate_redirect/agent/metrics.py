"""Prometheus metrics of the agent, computed when they are asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from nodegate_redirect.agent.client import Client
from nodegate_redirect.agent.following import Following
from nodegate_redirect.agent.loop import Status
from nodegate_redirect.contract import Place
from nodegate_redirect.mode import Count
from nodegate_redirect.plan import REFUSED

Counts = tuple[Mapping[Place, Count], Mapping[str, int]]


@dataclass(frozen=True, slots=True)
class Seen:
    """Everything of a running agent that metrics and pages are made from; ``why`` is why this mode."""

    status: Status
    following: Following
    client: Client
    mode: str
    why: str
    node: str
    version: str


class _Collector(Collector):
    def __init__(self, seen: Seen) -> None:
        self.seen = seen
        self.counts: Counts = ({}, {})

    def collect(self) -> Iterator[Metric]:
        """Yield every metric family."""
        yield _gauge("nodegate_agent_info", "What runs.", {(self.seen.version, self.seen.mode): 1}, ("version", "mode"))
        yield from _agent(self.seen)
        yield from _redirects(self.seen.status, self.counts)


class Metrics:
    """Renders all metrics in the text format of Prometheus."""

    def __init__(self, seen: Seen) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._collector = _Collector(seen)
        self._registry.register(self._collector)
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)

    def render(self, counts: Counts) -> bytes:
        """Return the text, with what the kernel counted until now."""
        self._collector.counts = counts
        return generate_latest(self._registry)


def service_of(redirect: str) -> tuple[str, str, str]:
    """Return namespace, Service and port of a redirect's name."""
    namespace, _, rest = redirect.partition("/")
    service, _, port = rest.partition("/")
    return namespace, service, port


def _agent(seen: Seen) -> Iterator[Metric]:
    status, client = seen.status, seen.client
    yield _gauge("nodegate_agent_connected", "1 with a stream to a control plane.", {(): bool(client.connected)})
    yield _gauge("nodegate_agent_ready", "1 once the kernel held what is asked for.", {(): status.ready})
    yield _counter("nodegate_agent_messages_acked", "Messages of which the kernel holds all.", {(): client.acked})
    yield _counter("nodegate_agent_messages_nacked", "Messages of which something is missing.", {(): client.nacked})
    yield _counter("nodegate_agent_applications", "Times the kernel was brought up to date.", {(): status.applications})
    yield _counter("nodegate_agent_repairs", "Times something of ours was not as we left it.", {(): status.repairs})
    yield _counter("nodegate_agent_refusals", "Times the kernel refused something.", {(): status.refusals})
    yield _gauge("nodegate_agent_apply_seconds", "How long the last time took.", {(): status.last_seconds})
    yield _gauge("nodegate_redirects", "Redirects that are asked for.", {(): len(seen.following.asked)})


def _redirects(status: Status, counts: Counts) -> Iterator[Metric]:
    plan, (places, events) = status.outcome.plan, counts
    connections: Counter[tuple[str, ...]] = Counter()
    packets: Counter[tuple[str, ...]] = Counter()
    octets: Counter[tuple[str, ...]] = Counter()
    for place, count in places.items():
        if place in plan.owners:
            label = service_of(plan.owners[place])
            connections[label] += count.connections
            packets[label] += count.packets
            octets[label] += count.bytes
    labels = ("namespace", "service", "port")
    yield _counter(
        "nodegate_redirect_connections", "First packets of connections to a Service's frontends.", connections, labels
    )
    yield _counter("nodegate_redirect_packets", "Packets of clients on accepted connections.", packets, labels)
    yield _counter("nodegate_redirect_bytes", "The bytes of these packets.", octets, labels)
    kinds = Counter({("listener",): 0, ("refused",): 0})
    kinds.update(("refused" if one.port == REFUSED else "listener",) for one in plan.targets.values())
    yield _gauge("nodegate_redirect_frontends", "Addresses and ports in the kernel, by where to.", kinds, ("to",))
    yield _gauge(
        "nodegate_agent_redirects_not_installed", "Redirects that are not as asked.", {(): len(status.problems)}
    )
    happened = {(name,): value for name, value in events.items()}
    yield _counter("nodegate_redirect_events", "Packets by what became of them.", happened, ("event",))


Values = Mapping[Any, float]


def _gauge(name: str, text: str, values: Values, labels: tuple[str, ...] = ()) -> Metric:
    family = GaugeMetricFamily(name, text, labels=labels)
    for label, value in values.items():
        family.add_metric(label, value)
    return family


def _counter(name: str, text: str, values: Values, labels: tuple[str, ...] = ()) -> Metric:
    family = CounterMetricFamily(name, text, labels=labels)
    for label, value in values.items():
        family.add_metric(label, value)
    return family
