"""Metrics of what is written to a cluster, computed when they are asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from nodegate.status.leadership import Leadership
from nodegate.status.requests import Requests


class WriteCollector(Collector):
    """Whether this replica leads, and how many requests were sent and failed, by resource."""

    def __init__(self, requests: Requests, leadership: Leadership) -> None:
        self._requests = requests
        self._leadership = leadership

    def describe(self) -> Iterable[Metric]:
        """Describe nothing: collecting asks for the event loop's clock, and runs in the loop only."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Yield every metric family."""
        leads = GaugeMetricFamily("nodegate_is_leader", "1 while this replica writes what only one may.")
        leads.add_metric((), int(self._leadership.leads))
        transitions = CounterMetricFamily("nodegate_lease_transitions", "Times the Lease went to another replica.")
        transitions.add_metric((), self._leadership.election.transitions)
        writes = CounterMetricFamily(
            "nodegate_cluster_requests", "Requests sent to read the Lease and to write.", labels=("resource", "method")
        )
        failures = CounterMetricFamily(
            "nodegate_cluster_request_failures", "Those that failed.", labels=("resource", "method", "status")
        )
        for what, count in sorted(self._requests.sent.items()):
            writes.add_metric(what, count)
        for (resource, method, status), count in sorted(self._requests.failed.items()):
            failures.add_metric((resource, method, str(status or "none")), count)
        yield from (leads, transitions, writes, failures)
