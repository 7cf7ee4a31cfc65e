"""What a scenario is, and the figures that all of them make from milliseconds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from bench.kubernetes.servers import CONTOUR, NODEGATE
from bench.kubernetes.site import Site
from bench.scenarios.scenario import Figure
from bench.trial import percentile

Figures = Mapping[str, float]

LATENCY = (Figure("p50_ms", "p50 ms", "{:.1f}"), Figure("p99_ms", "p99 ms", "{:.1f}"))


@dataclass(frozen=True, slots=True)
class Scenario:
    """A question. ``measure(site, server, scale)`` answers it for one server; ``others`` exist meanwhile.

    ``others`` counts Services, each with an EndpointSlice of 10 endpoints and an Ingress, at full scale.
    """

    name: str
    title: str
    others: int
    figures: tuple[Figure, ...]
    measure: Callable[[Site, str, float], Figures]
    servers: tuple[str, ...] = (NODEGATE, CONTOUR)


def latency(milliseconds: Sequence[float]) -> dict[str, float]:
    """Return the figures of ``LATENCY``."""
    return {"p50_ms": percentile(milliseconds, 50), "p99_ms": percentile(milliseconds, 99)}
