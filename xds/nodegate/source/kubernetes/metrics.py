"""Metrics of the watches, by resource, computed when they are asked for."""

from __future__ import annotations

from asyncio import get_running_loop
from collections import Counter
from collections.abc import Iterable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from nodegate.source.kubernetes.informer import Informer


class WatchCollector(Collector):
    """How many objects each watch knows, how often it began anew, and when it last heard anything."""

    def __init__(self, informers: Iterable[Informer]) -> None:
        self._informers = tuple(informers)

    def describe(self) -> Iterable[Metric]:
        """Describe nothing: collecting asks for the event loop's clock, and runs in the loop only."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Yield every metric family."""
        objects = GaugeMetricFamily("nodegate_watch_objects", "Objects a watch knows.", labels=("resource",))
        ages = GaugeMetricFamily(
            "nodegate_watch_last_event_age_seconds",
            "Since when nothing was heard, bookmarks included.",
            labels=("resource",),
        )
        troubles = GaugeMetricFamily(
            "nodegate_watch_unserved_seconds",
            "For how long the API server has not served a resource; 0 while it does.",
            labels=("resource",),
        )
        restarts = CounterMetricFamily(
            "nodegate_watch_restarts", "Times a watch was begun anew, and why.", labels=("resource", "reason")
        )
        now = get_running_loop().time()
        for name, informers in self._by_resource().items():
            objects.add_metric((name,), sum(len(informer.replica.objects) for informer in informers))
            ages.add_metric((name,), max(now - informer.last_event for informer in informers))
            unserved = (now - informer.trouble_since for informer in informers if informer.trouble)
            troubles.add_metric((name,), max(unserved, default=0.0))
            for reason, count in sorted(sum((informer.restarts for informer in informers), Counter()).items()):
                restarts.add_metric((name, reason), count)
        yield from (objects, ages, troubles, restarts)

    def _by_resource(self) -> dict[str, list[Informer]]:
        found: dict[str, list[Informer]] = {}
        for informer in self._informers:
            found.setdefault(informer.resource.plural, []).append(informer)
        return found
