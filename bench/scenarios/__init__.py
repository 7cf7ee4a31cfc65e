"""The questions, one module each. A new one is a module with a ``Scenario`` and a line in ``ALL``."""

from __future__ import annotations

from bench.scenarios import cluster_change, endpoint_change, flat_cost, idle_memory, reconnect
from bench.scenarios.scenario import Scenario

ALL: tuple[Scenario, ...] = (
    endpoint_change.SCENARIO,
    cluster_change.SOTW,
    cluster_change.DELTA,
    reconnect.CLUSTERS,
    reconnect.ENDPOINTS,
    idle_memory.TEN_NAMES,
    idle_memory.WILDCARD,
    flat_cost.SCENARIO,
)
