"""Ports of listeners that another program has: what the agent says of them, and what it cannot know."""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.redirect.rig.agent_node import Node, node_of
from tests.redirect.rig.world import ENVOY, PORT, service

WEB = "default/web/80"
HELD = rf"port held by \S+ \(pid {os.getpid()}\): "


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Node]:
    """Return a node with kube-proxy's rules for the Service and without an agent, and a control plane."""
    async with node_of("nftables", tmp_path) as made:
        yield made


def said(node: Node) -> str:
    """Return what the control plane was told last of the one redirect."""
    return node.plane.postponed().get(WEB, "")


async def test_a_port_that_another_program_holds_is_reported_with_its_name(node: Node) -> None:
    """So that the listener moves to another one (issue 7, 2); when it is free, all goes on."""
    node.plane.ask(service())
    stranger = node.world.stranger(PORT)
    node.start()
    await node.until(lambda: re.match(f"{HELD}listener ", said(node)))
    stranger.end()
    node.world.listen()
    await node.installed()
    assert await node.who() == ENVOY


async def test_a_port_that_another_program_takes_while_it_is_waited_for_is_reported_too(node: Node) -> None:
    """The control plane hears the new reason, for only that one moves the listener (redirect 5)."""
    node.plane.ask(service())
    node.start()
    await node.until(lambda: said(node).startswith("waiting for listener "))
    node.world.stranger(PORT)
    await node.until(lambda: re.match(HELD, said(node)))


async def test_a_program_that_shares_the_port_of_a_listener_is_reported(node: Node) -> None:
    """Envoy binds such a port without a word, and the kernel gives the other program a part of its connections."""
    node.world.listen(shared=True)
    node.world.stranger(PORT, shared=True)
    node.plane.ask(service())
    node.start()
    await node.until(lambda: re.match(f"{HELD}it shares port {PORT} ", said(node)))


async def test_a_program_that_cannot_be_seen_may_be_envoy_and_is_waited_for(node: Node) -> None:
    """In a Pod an agent sees no other program: Envoy itself refuses a port that somebody else has (redirect 5, 15)."""
    stranger = node.world.stranger(PORT)
    node.plane.ask(service())
    node.start(wrap=("unshare", "--pid", "--fork", "--mount-proc", "--kill-child"))
    await node.until(lambda: "a program of user 0 that this agent cannot see" in said(node))
    assert said(node).startswith("waiting for listener ")
    assert "`nodegate bootstrap --redirect`" in said(node)
    stranger.end()
    node.world.listen()
    await node.installed()
    assert await node.who() == ENVOY
