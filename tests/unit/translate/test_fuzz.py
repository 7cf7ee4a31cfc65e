"""Translation stands anything: it never raises, and never makes what Envoy refuses (issue 5)."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from nodegate.demo.envoy_binary import ENVIRONMENT, cached_envoy
from nodegate.model.changes import Change, Claimed
from nodegate.snapshot.facts import NodeFacts
from nodegate.translate.settings import Settings
from nodegate.translate.static import static_configuration
from tests.unit.translate.arbitrary import SETTINGS, changes
from tests.unit.translate.objects import ingress_class, upserts
from tests.unit.translate.world import World

pytestmark = pytest.mark.timeout(900)  # with the thousands of examples of the profile `full`

HISTORIES = st.lists(st.lists(changes(), max_size=8), max_size=5)


@given(HISTORIES, SETTINGS)
@settings(suppress_health_check=list(HealthCheck))
def test_anything_well_typed_is_translated(history: list[list[Change]], chosen: Settings) -> None:
    """No object makes a step fail, and every resource can be read back for any client."""
    world = World(*upserts(ingress_class("nodegate")), settings=chosen)
    for batch in history:
        world.change(*batch, *upserts(ingress_class("nodegate")))
    assert world.bytes.keys() == world.resources.keys()
    static_configuration(world.resources.values(), NodeFacts("node-a", "zone-a", transparent=True))


@pytest.mark.slow
def test_envoy_refuses_nothing_of_it(tmp_path: Path) -> None:
    """A sample of what odd objects are made into, each checked by a real Envoy."""
    binary = cached_envoy()
    if binary is None:
        pytest.skip(f"no Envoy: run `python -m nodegate.demo.envoy_binary` to install one, or set {ENVIRONMENT}")
    checked = 0

    @seed(20_261_123)
    @settings(max_examples=60, database=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(changes(), min_size=20, max_size=40), SETTINGS)
    def check(history: list[Change], chosen: Settings) -> None:
        nonlocal checked
        world = World(*history, *upserts(ingress_class("nodegate")), settings=chosen)
        world.change(*(Claimed(listener, 18_000 + i) for i, listener in enumerate(sorted(world.listeners))))
        if not world.resources:
            return
        configuration = tmp_path / "envoy.json"
        configuration.write_text(json.dumps(static_configuration(world.resources.values(), NodeFacts())))
        command = [str(binary), "--mode", "validate", "-c", str(configuration), "-l", "error"]
        validated = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        assert validated.returncode == 0, validated.stderr
        checked += 1

    check()
    assert checked > 10
