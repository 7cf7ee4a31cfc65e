"""From the start of a control plane to an ADS client that has everything, and then from PATCH to its socket."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from bench import servers as load_programs
from bench.driver import BenchError, Process, running
from bench.kubernetes import objects
from bench.kubernetes.scenario import LATENCY, Figures, Scenario, latency
from bench.kubernetes.servers import SERVERS
from bench.kubernetes.site import OTHERS, Site, Turn
from bench.scenarios.scenario import Figure, scaled
from bench.trial import Subscription
from nodegate.snapshot.type_urls import CLUSTER, ENDPOINT

SERVICES = 5_000
_PATCHES = 100
_PAUSE_S = 0.05
_TIMEOUT_S = 120.0


def _measure_start(site: Site, server: str, scale: float) -> Figures:
    with site.turn(SERVERS[server]) as turn, running(load_programs.start_load()) as load:
        began = time.monotonic_ns()
        turn.server.start()
        report = _open(load, turn, [site.other(number) for number in range(scaled(SERVICES, scale))])
        memory = turn.server.memory()
        return {
            "first_s": (report["arrivals_ns"][0] - began) / 1e9,
            "now_mb": memory.now_mb,
            "peak_mb": memory.peak_mb,
        }


def _measure_patch(site: Site, server: str, scale: float) -> Figures:
    services = scaled(SERVICES, scale)
    with site.turn(SERVERS[server]) as turn, running(load_programs.start_load()) as load:
        turn.server.start()
        _open(load, turn, [site.other(number) for number in range(services)])
        time.sleep(1.0)  # whatever follows the first listing is not this question
        taken = [_patch(site, load, number * 37 % services) for number in range(_PATCHES)]
        return {**latency(taken), "now_mb": turn.server.memory().now_mb}


def _patch(site: Site, load: Process, service: int) -> float:
    """Change one of ten endpoints and return the milliseconds until the client has them."""
    time.sleep(_PAUSE_S)
    load.tell("arm", type_url=ENDPOINT, resources=1)
    addresses = [site.new_backend(), *(objects.backend(10 * service + i) for i in range(9))]
    sent = site.send([objects.change_endpoints(OTHERS, site.other(service), addresses)])
    return float(_arrived(load.tell("arrivals")) - sent["sent_ns"]) / 1e6


def _open(load: Process, turn: Turn, services: Sequence[str]) -> dict[str, Any]:
    """Let one client have all clusters and then, by name, the endpoints of all."""
    names = [turn.server.assignment(OTHERS, service) for service in services]
    wanted = [Subscription(CLUSTER, len(names)), Subscription(ENDPOINT, len(names), [names])]
    report = load.tell(
        "open",
        address=turn.server.xds_address,
        variant=turn.server.variant,
        streams=1,
        connections=1,
        subscriptions=[one.plan() for one in wanted],
        prefix="node-",
        timeout_s=_TIMEOUT_S,
        **{"await": True},
    )
    _arrived(report)
    return report


def _arrived(report: dict[str, Any]) -> int:
    if report.get("failure") or not report["arrivals_ns"]:
        raise BenchError(f"The client did not get what it waits for: {report}")
    return int(report["arrivals_ns"][0])


START = Scenario(
    "start",
    "5,000 Services of 10 endpoints: from the start of the process until an ADS client has all clusters and endpoints",
    SERVICES,
    (
        Figure("first_s", "first snapshot s", "{:.2f}"),
        Figure("now_mb", "memory then MB"),
        Figure("peak_mb", "at most MB"),
    ),
    _measure_start,
)
PATCH = Scenario(
    "patch",
    "5,000 Services: from PATCH of an EndpointSlice until its endpoints are at an ADS client's socket",
    SERVICES,
    (*LATENCY, Figure("now_mb", "memory MB")),
    _measure_patch,
)
