"""The redirect goes first, then Envoy's listener: seen on a real Envoy's socket (redirect 3, DESIGN 3.3)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.rig.manifests import Manifest, service
from tests.e2e.rig.processes import Child, python
from tests.e2e.rig.site import Site
from tests.e2e.rig.waiting import eventually


def front_door(site: Site) -> Manifest:
    """Return the Service by which clients reach the Ingress ``web``."""
    made = service(site.namespace, "nodegate-web")
    made["metadata"]["annotations"] = {"nodegate.dev/ingress": "web"}
    made["spec"]["clusterIP"] = "10.96.0.1"
    return made


def open_with(site: Site, grace: float) -> None:
    """Start a site whose Ingress ``web`` has a redirect."""
    site.server.flags += ["--redirect-grace", str(grace)]
    site.manifests.put(*site.service("blue", "blue"), site.ingress({"/": "blue"}), front_door(site))
    site.start()
    site.answers("blue", within=15)
    assert "redirect" in {one["type"] for one in site.server.debug("target")["resources"]}


def withdraw(site: Site) -> str:
    """Delete the Ingress, wait until nothing of it is meant to be there any more, and return its URL."""
    url = site.url()
    site.manifests.drop(site.ingress({"/": "blue"}))
    eventually(lambda: not site.server.debug("target")["resources"], within=5, what="an empty target")
    return url


def listens(site: Site) -> bool:
    """Whether Envoy still has the listener."""
    return bool(site.envoy.listeners())


@pytest.fixture
def agent(site: Site, tmp_path: Path) -> Iterator[Child]:
    """Return a redirect agent of Envoy's node, on the same replica."""
    open_with(site, grace=60)
    child = Child(python("tests.e2e.rig.agreeing", site.server.xds_address), tmp_path / "agent.log")
    site.envoy.wait_until(lambda: "nodegate_agents 1.0" in site.server.metrics(), what="the agent")
    yield child
    child.stop()


def test_a_listener_outlives_its_redirect_by_the_grace(site: Site) -> None:
    """No agent of the node is connected to this replica, so one may be at another, and behind."""
    open_with(site, grace=2)
    withdraw(site)
    gone = time.monotonic()
    assert site.get().body == "blue", "it serves to the end, with its routes and clusters"
    eventually(lambda: not listens(site), within=10, what="the end of the listener")
    assert time.monotonic() - gone > 1


def test_it_goes_as_soon_as_the_agent_of_its_node_has_acknowledged(site: Site, agent: Child) -> None:
    """Sixty seconds of grace are not waited for."""
    withdraw(site)
    eventually(lambda: not listens(site), within=10, what="the end of the listener")
    agent.require_alive()


def test_a_listener_without_a_redirect_goes_at_once(site: Site) -> None:
    """There is nothing that would have to be withdrawn first."""
    open_with(site, grace=60)
    site.manifests.put(site.ingress({"/": "blue"}, name="plain"))
    site.envoy.wait_until(lambda: site.get(ingress_name="plain").body == "blue", what="the second Ingress")
    site.manifests.drop(site.ingress({"/": "blue"}, name="plain"))
    eventually(lambda: len(site.envoy.listeners()) == 1, within=10, what="the end of its listener")
