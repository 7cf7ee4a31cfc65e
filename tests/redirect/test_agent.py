"""``nodegate agent`` on a node, told over a real ADS stream: what it installs, says, and leaves alone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

from nodegate_redirect.ebpf import pins
from tests.redirect.rig.agent_node import MODES, WORLDS, Node, node_of, with_capabilities
from tests.redirect.rig.damage import FLUSHES, ours, without_empty_tables
from tests.redirect.rig.sockets import Answer, ask
from tests.redirect.rig.world import ENVOY, PINS, PLACES, POD, PORT, service


@pytest.fixture(params=MODES)
async def node(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Node]:
    """Return a node with kube-proxy's rules for the Service and without an agent, and a control plane."""
    async with node_of(request.param, tmp_path) as made:
        yield made


async def test_a_redirect_waits_for_its_listener_and_is_installed_when_there_is_one(node: Node) -> None:
    """A NACK names what waits, and for what; once a socket listens there is an ACK (redirect 3)."""
    node.plane.ask(service())
    node.start()
    await node.until(node.plane.postponed)
    assert node.plane.postponed()["default/web/80"].startswith(f"waiting for listener default/web/http@{PORT}: ")
    assert await node.who() == POD
    node.world.listen()
    await node.installed()
    assert {await node.who(family, where) for family in (4, 6) for where in ("client", "pod1", "node")} == {ENVOY}


async def test_a_withdrawal_cuts_no_connection_and_is_acknowledged(node: Node) -> None:
    node.world.listen()
    node.plane.ask(service())
    node.start()
    await node.installed()
    old = await node.connect()
    node.plane.ask()
    await node.until(lambda: node.agent.metric("nodegate_redirect_frontends") == 0)
    await node.installed()
    assert await node.who() == POD
    assert old.echoes()


async def test_a_new_agent_touches_nothing_that_is_right(node: Node) -> None:
    """After a crash: rules, handles, counters, connections, with the state file and without it (redirect 6)."""
    node.world.listen()
    node.plane.ask(service())
    node.start()
    await node.installed()
    old = await node.connect()
    before = node.rules()
    for arguments in ((), (f"--state-dir={node.folder / 'other'}",)):
        node.agent.kill()
        await node.until(lambda: not node.plane.agents())
        node.start(*arguments)
        await node.installed()
        await node.until(node.agent.is_ready)
        assert before.went_on(node.rules())
        assert old.echoes()
    assert await node.who() == ENVOY


async def test_without_a_control_plane_an_agent_goes_by_what_it_was_told_before(node: Node) -> None:
    """It also serves what is new on the node: a listener that comes up late, an address (issue 7, 2)."""
    node.plane.ask(service())
    node.start()
    await node.until(node.plane.postponed)
    node.agent.stop()
    node.plane.socket.rename(node.folder / "gone")
    node.start()
    await node.until(node.agent.is_ready)
    node.world.listen()
    await node.until(lambda: node.agent.metric("nodegate_redirect_frontends") > 0)
    assert await node.who(place="NodePort") == ENVOY
    node.world.network.ip("node", "addr add 10.0.1.77/24 dev eth0")
    answers = partial(ask, node.world.network, "client", "10.0.1.77", PLACES["NodePort"](4).port)
    await node.until(lambda: isinstance(answers(), Answer))


async def test_an_agent_that_was_told_nothing_yet_leaves_the_kernel_alone(node: Node) -> None:
    """Nobody knows what should be in it: what an earlier agent put there stays, and it is not ready."""
    node.world.listen()
    node.plane.ask(service())
    node.start()
    await node.installed()
    node.agent.stop()
    before = node.rules()
    node.plane.socket.rename(node.folder / "gone")
    node.start(f"--state-dir={node.folder / 'other'}")
    await node.until(lambda: "No control plane" in node.agent.said())
    status, why = node.agent.get("/readyz")
    assert (status, why) == (
        503,
        "The control plane has not said yet what to redirect, and nothing is kept of an earlier run.\n",
    )
    assert before.went_on(node.rules())


async def test_what_a_stranger_flushes_is_repaired_without_being_told(node: Node) -> None:
    """Within seconds, and nothing that is open is cut (issue 7, 2)."""
    node.world.listen()
    node.plane.ask(service())
    node.start()
    await node.installed()
    old = await node.connect()
    before = ours(node.world.kernel())
    for damage in FLUSHES[WORLDS.get(node.mode, node.mode)].values():
        node.world.network.run("node", damage)
        await node.until(lambda: ours(node.world.kernel()) == before)
    assert await node.who() == ENVOY
    assert old.echoes()
    assert node.agent.metric("nodegate_agent_repairs") > 0


async def test_one_redirect_that_cannot_be_honoured_harms_no_other(node: Node) -> None:
    """It alone is named in the NACK, and the rest of the message is installed."""
    node.world.listen()
    node.plane.ask(service(), default__wrong__80=b"\xff\xff")
    node.start()
    await node.until(node.plane.postponed)
    assert set(node.plane.postponed()) == {"default/wrong/80"}
    assert "Not a nodegate.redirect.v1.ServiceRedirect" in node.plane.postponed()["default/wrong/80"]
    assert await node.who() == ENVOY


@pytest.mark.parametrize("then", MODES)
async def test_another_mode_takes_over_before_the_old_one_goes(node: Node, then: str) -> None:
    """Nothing of the old mode stays, no connection is cut, and none is refused on the way (make before break)."""
    node.world.listen()
    node.plane.ask(service())
    node.start()
    await node.installed()
    old = [await node.connect(family, where) for family in (4, 6) for where in ("client", "pod1", "node")]
    node.agent.stop()
    node.start(mode=then)
    await node.until(node.agent.is_ready)
    assert all(connection.echoes() for connection in old)
    assert {await node.who(family, where) for family in (4, 6) for where in ("client", "pod1", "node")} == {ENVOY}
    left = "\n".join(ours(node.world.kernel()))
    assert ("table inet nodegate-ebpf" in left) == (then == "ebpf")
    assert ("table inet nodegate {" in left) == (then == "nftables")
    assert ("NODEGATE-PRE" in left) == (then == "iptables")


LEAST = {"ebpf": "net_admin,+bpf", "iptables": "net_admin,+net_raw", "nftables": "net_admin"}


async def test_no_more_capabilities_are_needed_than_the_documentation_says(node: Node) -> None:
    """CAP_NET_ADMIN in every mode; the kernel's rules, maps and programs, and what listens, need nothing more."""
    node.world.network.inside("node", partial(pins.ensure, PINS))  # mounting a bpffs takes CAP_SYS_ADMIN
    node.world.listen()
    node.plane.ask(service())
    node.start(wrap=with_capabilities(f",+{LEAST[node.mode]}"))
    await node.installed()
    assert {await node.who(family, where) for family in (4, 6) for where in ("client", "pod1", "node")} == {ENVOY}
    await node.until(node.agent.is_ready)
    node.agent.stop()


async def test_cleanup_removes_all_of_it_and_nothing_else(node: Node) -> None:
    """``--cleanup`` is for every mode at once; the second time there is nothing left to do."""
    before = node.world.kernel()
    node.world.listen()
    node.plane.ask(service())
    node.start()
    await node.installed()
    node.agent.stop()
    assert "removed" in node.cleanup()
    assert not PINS.exists()
    assert without_empty_tables(node.world.kernel()) == without_empty_tables(before)
    assert node.cleanup() == "There was nothing of nodegate's in this kernel.\n"
