"""What translation alone costs: from nothing, and for one change, however many objects there are.

``python -m bench.translation [SERVICES ...]`` prints a table in CPU time, so that a busy machine disturbs it less. Each
Service has ten endpoints and an Ingress with a host of its own.
"""

from __future__ import annotations

import gc
import statistics
import sys
import time
from collections.abc import Callable, Iterator

from bench.ingress.world import endpoints, ingress, objects, service
from nodegate.model.changes import Change, Claimed, Upsert
from nodegate.translate.index import Index
from nodegate.translate.settings import ListenerMode, Settings
from nodegate.translate.step import step

SIZES = (100, 1_000, 10_000)
REPEATED = 100


def main() -> None:
    """Print a row for each mode and size."""
    gc.set_threshold(10_000_000)  # as serve does until the first listing is in
    sizes = [int(size) for size in sys.argv[1:]] or SIZES
    print("| listeners | Services | from nothing | endpoint event | Service event | Ingress event |")
    print("|---|---|---|---|---|---|")
    for mode in ListenerMode:
        for size in sizes:
            print(f"| {mode.value} | {size} | {' | '.join(figures(mode, size))} |", flush=True)


def figures(mode: ListenerMode, size: int) -> Iterator[str]:
    """Yield one figure after the other: seconds from nothing, then p50 and p99 of single events."""
    changes = list(world(size))
    gc.collect()
    started = time.process_time()
    index, _ = step(Index.new(Settings(listener_mode=mode)), changes)
    yield f"{time.process_time() - started:.2f} s"
    gc.collect()
    gc.freeze()  # as serve does once the first listing is in
    for event in (_other_endpoints, _other_service, _other_ingress):
        yield _single(index, event, size)
    gc.unfreeze()


def _single(index: Index, event: Callable[[int], Change], size: int) -> str:
    times = []
    for number in range(REPEATED):
        change = event(number % size)
        started = time.process_time()
        step(index, (change,))
        times.append((time.process_time() - started) * 1000)
    quantiles = statistics.quantiles(times, n=100)
    return f"{quantiles[49]:.2f} / {quantiles[98]:.2f} ms"


def world(size: int) -> Iterator[Change]:
    """Yield all objects, and a port for every listener."""
    yield from objects(size)
    for number in range(size):
        yield Claimed(f"default/web-{number}/http", 10_000 + number)
    yield Claimed("shared/http", 9_000)


def _other_endpoints(number: int) -> Change:
    return Upsert(endpoints(number, 1))


def _other_service(number: int) -> Change:
    return Upsert(service(number, 1))


def _other_ingress(number: int) -> Change:
    return Upsert(ingress(number, 1))


if __name__ == "__main__":
    main()
