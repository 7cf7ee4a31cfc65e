"""From a change in the cluster until Envoy's traffic shows it, and the requests that are lost meanwhile."""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from bench.kubernetes import objects
from bench.kubernetes.objects import Call
from bench.kubernetes.scenario import Figures, Scenario, latency
from bench.kubernetes.servers import CONTOUR, DEDICATED, NODEGATE, SERVERS
from bench.kubernetes.site import APP, Site, Turn
from bench.scenarios.scenario import Figure, scaled

OTHERS_COUNT = 2_000
_CHANGES, _INGRESSES = 100, 20
_SETTLING_S = 0.6
"""Longer than anybody's hold-off, so that one change has nothing to do with the one before."""
_RATE = 200
_EVERYONE = (NODEGATE, DEDICATED, CONTOUR)


def _measure_latency(site: Site, server: str, scale: float) -> Figures:
    with site.turn(SERVERS[server]) as turn:
        turn.start_serving()
        time.sleep(_SETTLING_S)
        endpoints = latency([_change_endpoint(turn, number) for number in range(1, scaled(_CHANGES, scale) + 1)])
        ingresses = latency([_add_ingress(turn, number) for number in range(scaled(_INGRESSES, scale))])
        return {
            **{f"endpoint_{key}": value for key, value in endpoints.items()},
            **{f"ingress_{key}": value for key, value in ingresses.items()},
            "peak_mb": turn.server.memory().peak_mb,
        }


def _change_endpoint(turn: Turn, number: int) -> float:
    """Give ``app`` another backend; wait an odd time first, as nothing comes in step with anybody's clocks."""
    time.sleep(random.uniform(0.05, 0.15))
    to = objects.backend(number)
    return turn.until([objects.change_endpoints(turn.namespace, APP, [to])], want=to)


def _add_ingress(turn: Turn, number: int) -> float:
    """Make an Ingress of a Service that exists and take it away again, which is not measured."""
    name = f"new-{number}"
    want = objects.backend(1_000 + number)
    turn.site.send(objects.create_service(turn.namespace, name, [want]))
    time.sleep(_SETTLING_S)
    taken = turn.until([objects.create_ingress(turn.namespace, name, name)], want=want, ingress=name)
    turn.site.send([objects.delete_ingress(turn.namespace, name), *objects.delete_service(turn.namespace, name)])
    time.sleep(_SETTLING_S)
    return taken


# --- Lost requests -------------------------------------------------------------------------------------------------


def _moves(namespace: str, count: int) -> Iterator[list[Call]]:
    """Move ``app`` to a new Service, and delete the old one at once."""
    yield from _rename(namespace, count, lambda make, name, remove: [*make, name, *remove])


def _renames(namespace: str, count: int) -> Iterator[list[Call]]:
    """Rename the Service of ``app``: a Service's name cannot change, so it is deleted and made anew."""
    yield from _rename(namespace, count, lambda make, name, remove: [*remove, *make, name])


def _rename(
    namespace: str, count: int, order: Callable[[list[Call], Call, list[Call]], list[Call]]
) -> Iterator[list[Call]]:
    old = APP
    for number in range(count):
        new = f"{APP}-{number}"
        make = objects.create_service(namespace, new, [objects.backend(0)])
        yield order(make, objects.change_backend(namespace, APP, new), objects.delete_service(namespace, old))
        old = new


def _hosts(namespace: str, count: int) -> Iterator[list[Call]]:
    """Add an Ingress with another host, and remove it."""
    for number in range(count):
        name = f"guest-{number}"
        yield [objects.create_ingress(namespace, name, APP)]
        yield [objects.delete_ingress(namespace, name)]


def _endpoints(namespace: str, count: int) -> Iterator[list[Call]]:
    """Replace the only endpoint by another."""
    for number in range(1, count + 1):
        yield [objects.change_endpoints(namespace, APP, [objects.backend(number)])]


@dataclass(frozen=True, slots=True)
class _Events:
    """So many changes of one kind, each some seconds after the one before."""

    make: Callable[[str, int], Iterator[list[Call]]]
    count: int
    every_s: float


_EVENTS: Mapping[str, _Events] = {
    "moves": _Events(_moves, 50, 0.5),
    "renames": _Events(_renames, 20, 0.5),
    "hosts": _Events(_hosts, 50, 0.25),
    "endpoints": _Events(_endpoints, 50, 0.25),
}


def _measure_lost(site: Site, server: str, scale: float) -> Figures:
    """Each kind of event has a turn of its own, as one leaves the objects in another state."""
    lost: dict[str, float] = {}
    for name, events in _EVENTS.items():
        with site.turn(SERVERS[server]) as turn:
            turn.start_serving()
            lost[name] = _lost(turn, list(events.make(turn.namespace, scaled(events.count, scale))), events.every_s)
    return lost


def _lost(turn: Turn, events: Sequence[Sequence[Call]], every_s: float) -> float:
    """Return how many requests failed while these events happened."""
    time.sleep(_SETTLING_S)
    traffic = turn.site.traffic
    traffic.tell("start", address=turn.entrance, host=turn.host, rate=_RATE)
    due = time.monotonic()
    for event in events:
        due += every_s
        time.sleep(max(0.0, due - time.monotonic()))
        turn.site.send(event)
    time.sleep(_SETTLING_S)
    report = traffic.tell("stop")
    print(f"  {turn.server.title}: {report}", file=sys.stderr, flush=True)
    return float(sum(report["failed"].values()))


def _latency_figures() -> tuple[Figure, ...]:
    return (
        Figure("endpoint_p50_ms", "endpoint p50 ms", "{:.1f}"),
        Figure("endpoint_p99_ms", "p99 ms", "{:.1f}"),
        Figure("ingress_p50_ms", "new Ingress p50 ms"),
        Figure("ingress_p99_ms", "p99 ms"),
        Figure("peak_mb", "memory at most MB"),
    )


_LATENCY_TITLE = "From PATCH of an EndpointSlice, and from a new Ingress, until Envoy answers accordingly"
_latency_scenario = partial(Scenario, figures=_latency_figures(), measure=_measure_latency)

ALONE = _latency_scenario("alone", f"{_LATENCY_TITLE}, alone", 0, servers=_EVERYONE)
AMONG_OTHERS = _latency_scenario("others", f"{_LATENCY_TITLE}, among 2,000 others", OTHERS_COUNT)
LOST = Scenario(
    "lost",
    "Requests lost at 200 a second while things change",
    0,
    (
        Figure("moves", "50 backend moves"),
        Figure("renames", "20 Service renames"),
        Figure("hosts", "50 hosts added and removed"),
        Figure("endpoints", "50 endpoint changes"),
    ),
    _measure_lost,
    _EVERYONE,
)
