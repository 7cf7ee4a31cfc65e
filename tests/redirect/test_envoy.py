"""All of it at once: control plane, ADS, Envoy, agent and kernel; every frontend, every client, both families.

The client's address is taken from Envoy's access log, and kube-proxy's rules for the same frontends are in place.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.redirect.rig.kube_proxy import FAMILIES
from tests.redirect.rig.stack import POD, STACKS, Stack, stack
from tests.redirect.rig.world import PLACES

AS_WELL = {"ebpf, kube-proxy nftables", "iptables-legacy, kube-proxy legacy"}
"""Where a mode and a kube-proxy meet that others show already: only with larger counts."""
NODES = [pytest.param(name, marks=pytest.mark.full) if name in AS_WELL else name for name in STACKS]
CLIENTS = {"outside": "client", "pod": "pod1", "host": "node"}


@pytest.fixture(scope="module", params=NODES)
def node(
    request: pytest.FixtureRequest, envoy_binary: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    """Return a node on which everything runs."""
    with stack(request.param, tmp_path_factory.mktemp("node"), envoy_binary) as made:
        yield made


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("frontend", PLACES)
def test_envoy_answers_at_every_frontend_and_sees_the_clients_own_address(
    node: Stack, frontend: str, family: int, client: str
) -> None:
    """The whole road, from a manifest to the address in Envoy's access log (redirect 1, 2, 4)."""
    request = node.ask(CLIENTS[client], PLACES[frontend](family))
    assert (request.status, request.body) == (200, POD)
    assert request.logged["client"] == request.own
