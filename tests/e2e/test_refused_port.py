"""A port that another program has on a node: the listener moves to another one, and is served (redirect 5)."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from nodegate.ports import PortRange
from tests.e2e.rig.site import Site


def problems(site: Site) -> list[dict[str, Any]]:
    """Return what the debug page shows of the Ingress ``cramped``."""
    return [one for one in site.server.debug("problems")["problems"] if one["name"] == "cramped"]


@pytest.mark.timeout(120)
@pytest.mark.parametrize("variant", ["delta"], indirect=True)
@pytest.mark.parametrize("address", ["0.0.0.0", "127.0.0.1"])
def test_a_listener_whose_port_is_held_moves_and_is_served(site: Site, address: str) -> None:
    """Nobody has to do anything, nothing is in quarantine, and the problem names node, port and new port."""
    first, second, *_ = PortRange().probe(f"{site.namespace}/cramped/http")
    site.manifests.put(*site.service("blue", "blue"), site.ingress({"/": "blue"}))
    with socket.create_server((address, first)):
        site.start()
        site.answers("blue", within=15)
        site.manifests.put(site.ingress({"/": "blue"}, name="cramped"))
        site.envoy.wait_until(lambda: site.get(ingress_name="cramped").body == "blue", what="the Ingress that moved")
        assert site.url("cramped").endswith(f":{second}")
        (problem,) = problems(site)
        assert (problem["code"], problem["severity"]) == ("PortRefused", "warning")
        assert f"Port {first} " in problem["message"]
        assert "on node node-1; it moves to port" in problem["message"]
        assert str(second) in problem["message"]
    site.answers("blue")
