"""Many Services: they are all installed, one more or less is a small change, and cleanup removes them all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from nodegate_redirect.contract import Place, Redirect
from tests.redirect.rig.agent_node import MODES, Node, node_of
from tests.redirect.rig.damage import without_empty_tables
from tests.redirect.rig.sockets import Answer, ask
from tests.redirect.rig.world import ENVOY, PORT, service

SERVICES = 5_000
PORTS = range(PORT, PORT + 50)


def place(number: int) -> Place:
    """Return the cluster IP of a Service."""
    return Place(f"10.104.{number >> 8}.{number & 0xFF}", 80)


def services() -> list[Redirect]:
    """Return the redirects of all Services, to the listeners in turn."""
    ports = [PORTS[number % len(PORTS)] for number in range(SERVICES)]
    return [
        Redirect(f"default/web{number}/80", f"default/web{number}/http@{port}", port, ((place(number), False),))
        for number, port in enumerate(ports)
    ]


@pytest.fixture(params=MODES)
async def node(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Node]:
    """Return a node with kube-proxy's rules for the Service and without an agent, and a control plane."""
    async with node_of(request.param, tmp_path) as made:
        yield made


async def who(node: Node, number: int, where: str = "client") -> str:
    """Return who answers at one of the Services."""
    answer = await asyncio.to_thread(ask, node.world.network, where, *place(number))
    return answer.who if isinstance(answer, Answer) else answer


@pytest.mark.timeout(180)
async def test_five_thousand_services_are_installed_changed_and_removed(node: Node) -> None:
    """To the last one; a new one is served while they are there, and a cleanup leaves nothing (issue 7, 7)."""
    before = node.world.kernel()
    for port in PORTS:
        node.world.listen(port)
    many = services()
    node.plane.ask(*many)
    node.start()
    await node.installed(within=90)
    asked = (0, 1, SERVICES // 2, SERVICES - 1)
    assert {await who(node, number, where) for number in asked for where in ("client", "pod1", "node")} == {ENVOY}
    assert node.agent.metric("nodegate_redirect_frontends") == SERVICES
    node.plane.ask(*many[1:], service())
    await node.installed()
    assert await node.who() == ENVOY
    node.agent.stop()
    assert "removed" in node.cleanup()
    assert without_empty_tables(node.world.kernel()) == without_empty_tables(before)
