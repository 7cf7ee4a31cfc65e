"""The agent's client against a real server: TLS both ways, replicas of which one is down, a server that comes back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from nodegate.server import ServerOptions, TlsFiles
from nodegate.snapshot.type_urls import REDIRECT
from nodegate_redirect.agent.client import Client, Endpoint, Tls
from nodegate_redirect.agent.following import Following
from tests.certificates import Authority
from tests.transport.client import eventually, resource, target
from tests.transport.conftest import Serve
from tests.unit.redirect.redirects import message

NAME = "default/web/80"
ONE = target(resource(REDIRECT, NAME, bytes(message(NAME).SerializeToString())))
NOBODY = "127.0.0.1:1"


@asynccontextmanager
async def following(
    *addresses: str, tls: Tls | None = None, known: Following | None = None
) -> AsyncIterator[Following]:
    """Run a client whose kernel holds everything at once."""
    followed, woken = known or Following(), asyncio.Event()
    client = Client(Endpoint(addresses, "node-1", "agent~node-1", "1.0", tls), followed, woken.set)

    async def kernel() -> None:
        while True:
            await woken.wait()
            woken.clear()
            client.settle(followed.sequence, {})

    tasks = [asyncio.create_task(client.run()), asyncio.create_task(kernel())]
    try:
        yield followed
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_an_agent_proves_its_node_by_mutual_tls_and_is_known_by_it(serve: Serve, tmp_path: Path) -> None:
    """The same files as Envoy's, and what it acknowledges counts for its node (DESIGN 3.8)."""
    authority = Authority()
    certificate, key = authority.sign("xds.test").write(tmp_path, "server")
    own, own_key = authority.sign("node-1").write(tmp_path, "node")
    ca = tmp_path / "ca.crt"
    ca.write_bytes(authority.pem)
    options = ServerOptions(tls=TlsFiles(certificate, key, ca), drain_seconds=0.1)
    async with (
        serve(ONE, options) as running,
        following(running.address, tls=Tls(ca, "xds.test", own, own_key)) as followed,
    ):
        await eventually(lambda: running.clients.is_redirected(NAME, ONE))
        (agent,) = running.clients.agents()
        assert (agent.node_id, agent.stream.node and agent.stream.node.facts.node) == ("agent~node-1", "node-1")
        assert set(followed.asked) == {NAME}


async def test_of_several_replicas_any_that_answers_will_do(serve: Serve) -> None:
    async with serve(ONE) as running, following(NOBODY, running.address, NOBODY):
        await eventually(lambda: running.clients.is_redirected(NAME, ONE))


async def test_what_an_agent_holds_is_not_sent_again_by_another_replica(serve: Serve) -> None:
    """It says what it has (37), and a version means the same on every replica (DESIGN 2.4)."""
    async with serve(ONE) as second:
        async with serve(ONE) as first, following(first.address) as followed:
            await eventually(lambda: first.clients.is_redirected(NAME, ONE))
        known = Following(dict(followed.asked), heard=True)
        async with following(second.address, known=known):
            await eventually(lambda: second.clients.is_redirected(NAME, ONE))
        assert known.asked == followed.asked
        assert known.news == {}
