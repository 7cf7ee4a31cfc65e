"""What ``nodegate agent`` says to whoever starts it where it cannot work, or where another one works."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.redirect.rig.agent_node import Node, node_of, with_capabilities
from tests.redirect.rig.world import ENVOY, service


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Node]:
    """Return a node with kube-proxy's rules for the Service and without an agent, and a control plane."""
    async with node_of("nftables", tmp_path) as made:
        yield made


async def test_two_agents_never_work_on_one_node(node: Node) -> None:
    """Of two modes each would remove what the other made; the second says who is in its way, and touches nothing."""
    node.world.listen()
    node.plane.ask(service())
    first = node.start()
    await node.installed()
    before = node.rules()
    elsewhere = ("--http-address=127.0.0.1:0", "--debug-address=127.0.0.1:0")
    second = node.run("--mode=iptables", f"--xds-address=unix:{node.plane.socket}", *elsewhere)
    assert second.returncode == 2
    assert f"Another nodegate agent runs here (pid {first.process.pid}). Two would undo " in second.stderr
    assert before.went_on(node.rules())


async def test_a_cleanup_beside_an_agent_that_runs_is_refused(node: Node) -> None:
    """All of it would be back a moment later."""
    node.world.listen()
    node.plane.ask(service())
    first = node.start()
    await node.installed()
    refused = node.run("--cleanup")
    assert refused.returncode == 2
    assert refused.stderr == (
        f"nodegate: A nodegate agent runs here (pid {first.process.pid}) and would put everything back. "
        "Stop it first.\n"
    )
    assert await node.who() == ENVOY


@pytest.mark.parametrize("arguments", [(), ("--cleanup",)])
async def test_without_capabilities_it_says_what_it_takes(node: Node, arguments: tuple[str, ...]) -> None:
    """A sentence with the remedy, and not what each program said of it."""
    ended = node.run(*arguments, wrap=with_capabilities())
    assert ended.returncode == 1
    assert "which takes root, or the capability NET_ADMIN" in ended.stderr
    assert "Traceback" not in ended.stderr


async def test_a_node_without_a_name_is_refused(node: Node) -> None:
    """The control plane would not know whose redirects are acknowledged."""
    ended = node.run("--node-name=")
    assert (ended.returncode, ended.stderr) == (
        2,
        "nodegate: --node-name is empty. Give the name that this node has in Kubernetes.\n",
    )
