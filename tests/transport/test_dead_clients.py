"""A client that is gone without saying so is noticed, and one that is merely slow costs nobody else anything."""

from __future__ import annotations

import asyncio
import os
import signal
import sys

from nodegate.server import ServerOptions
from nodegate.snapshot.type_urls import CLUSTER
from tests.transport.client import channel_to, eventually, resource, stream, target
from tests.transport.conftest import Serve

QUIET_CLIENT = """
import asyncio, sys
from tests.transport.client import channel_to, stream
from nodegate.snapshot.type_urls import CLUSTER

async def main():
    async with channel_to(sys.argv[1]) as channel:
        call = stream(channel)
        await call.send(CLUSTER, node="frozen")
        await call.receive()
        await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_a_client_that_stopped_answering_is_dropped_after_the_keepalive(serve: Serve) -> None:
    """Its kernel still acknowledges every packet; only the unanswered HTTP/2 ping tells."""
    options = ServerOptions(keepalive_seconds=0.9, drain_seconds=0.1)
    async with serve(target(resource(CLUSTER, "c1")), options) as running:
        child = await asyncio.create_subprocess_exec(sys.executable, "-c", QUIET_CLIENT, running.address)
        try:
            await eventually(lambda: running.clients.node_ids() == {"frozen"})
            os.kill(child.pid, signal.SIGSTOP)
            await eventually(lambda: not running.clients.node_ids())
        finally:
            child.kill()
            await child.wait()


async def test_a_client_that_never_acknowledges_does_not_delay_the_others(serve: Serve) -> None:
    """The idle one has one response in flight, no more; the quick one gets every change (xds-protocol 49)."""
    first = target(resource(CLUSTER, "c1"))
    async with (
        serve(first) as running,
        channel_to(running.address) as slow_channel,
        channel_to(running.address) as fast,
    ):
        slow, quick = stream(slow_channel), stream(fast)
        await slow.send(CLUSTER, node="slow")
        await quick.send(CLUSTER, node="quick")
        await slow.receive()
        current, nonce = first, (await quick.receive()).nonce
        for number in range(20):
            await quick.send(CLUSTER, response_nonce=nonce)
            name = f"new-{number}"
            current = current.apply({(CLUSTER, name): resource(CLUSTER, name)})
            running.publisher.publish(current)
            response = await quick.receive()
            assert [one.name for one in response.resources] == [name]
            nonce = response.nonce
        (waiting,) = [one for one in running.clients.snapshot() if one.node_id == "slow"]
        assert waiting.types[0].sent == 1
        await slow.send(CLUSTER, response_nonce="1")
        assert len((await slow.receive()).resources) == 20
