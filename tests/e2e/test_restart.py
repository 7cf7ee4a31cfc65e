"""The control plane may die at any time: what is served goes on, and what changed meanwhile is caught up."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from tests.e2e.rig.site import Site


@pytest.mark.timeout(120)
def test_nothing_fails_when_the_server_is_killed_and_both_changes_made_meanwhile_are_served(
    shop: Site, record_property: Callable[[str, object], None]
) -> None:
    """SIGKILL under load; a route and endpoints change while it is down (xds-protocol 37, 46; DESIGN 2).

    A client of the state of the world never says what it has, so a new server cannot keep a cluster for it that no
    object asks for any more: there, another path still uses the old Service. Delta loses its cluster in the change.
    """
    others = {"/side": "side"} if shop.variant == "delta" else {"/side": "side", "/still": "blue"}
    shop.manifests.put(*shop.service("side", "blue"), shop.ingress({"/": "blue", **others}))
    shop.answers("blue", "/side")
    load = shop.load(rate=200, stream_seconds=12, websocket=True)
    time.sleep(1)

    shop.server.kill()
    shop.manifests.put(*shop.service("green", "green"), shop.ingress({"/": "green", **others}))
    shop.manifests.put(shop.endpoints("side", "red"))
    time.sleep(1)
    assert shop.get().body == "blue"

    shop.server.start()
    shop.answers("green", within=15)
    shop.answers("red", "/side", within=15)
    time.sleep(1)
    report = load.finish()
    record_property("load", report.summary())
    report.require_flawless()
    assert set(report.answered_by) == {"blue", "green"}
    assert report.streams_complete
    assert report.websocket_echoes > 20


@pytest.mark.timeout(120)
def test_a_restart_without_changes_changes_nothing_in_envoy(shop: Site) -> None:
    """Envoy adds and modifies no cluster, listener or route: names and contents are the same (xds-protocol 25)."""
    counters = "cluster_added|cluster_modified|listener_added|listener_modified|rds.*config_reload$"
    before = shop.envoy.stats(counters)
    assert before["cluster_manager.cluster_added"]
    shop.server.kill()
    shop.server.start()
    shop.manifests.put(shop.endpoints("blue", "green"))
    shop.answers("green", within=15)
    assert shop.envoy.stats(counters) == before


@pytest.mark.timeout(120)
def test_the_port_of_a_listener_survives_a_restart_that_adds_its_neighbour(shop: Site) -> None:
    """Ports are kept in the state folder, whoever comes first in the next listing (DESIGN 3.5)."""
    port = shop.envoy.port_of(shop.listener())
    shop.server.kill()
    shop.manifests.put(*shop.service("green", "green"), shop.ingress({"/": "green"}, name="aaa"))
    shop.server.start()
    shop.envoy.wait_until(lambda: shop.get(ingress_name="aaa").body == "green", what="the new Ingress")
    assert shop.envoy.port_of(shop.listener()) == port
    shop.answers("blue")
