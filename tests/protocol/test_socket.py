"""The gRPC shell over a real socket: what the pure stream cannot show."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from envoy.service.discovery.v3 import discovery_pb2

from nodegate.server import Clients, XdsServer
from nodegate.snapshot.publisher import Publisher
from nodegate.snapshot.target import Target
from nodegate.snapshot.type_urls import CLUSTER, ENDPOINT
from tests.protocol.wire import resource, resources

ADS = "/envoy.service.discovery.v3.AggregatedDiscoveryService/"
METHODS = {"delta": ADS + "DeltaAggregatedResources", "sotw": ADS + "StreamAggregatedResources"}
REQUESTS = {"delta": discovery_pb2.DeltaDiscoveryRequest, "sotw": discovery_pb2.DiscoveryRequest}
RESPONSES = {"delta": discovery_pb2.DeltaDiscoveryResponse, "sotw": discovery_pb2.DiscoveryResponse}
SOON = 10.0

both = pytest.mark.parametrize("variant", ["delta", "sotw"])


@dataclass
class Endpoint:
    """A server on a Unix socket, and what it publishes."""

    publisher: Publisher
    clients: Clients
    address: str

    def put(self, world: str) -> None:
        """Change what is published."""
        target = self.publisher.target or Target()
        self.publisher.publish(target.apply({one.key: one for one in resources(world)}))


@pytest.fixture
async def endpoint(tmp_path: Path) -> AsyncIterator[Endpoint]:
    """Serve from a publisher that has no target yet."""
    one = Endpoint(Publisher(), Clients(), f"unix:{tmp_path}/xds.sock")
    async with XdsServer(one.publisher, one.clients, one.address).serving():
        yield one


@dataclass
class Client:
    """One stream, in messages."""

    variant: str
    call: Any

    async def ask(self, type_url: str = CLUSTER, *names: str, **fields: Any) -> None:
        """Send a request."""
        listed = "resource_names_subscribe" if self.variant == "delta" else "resource_names"
        request = REQUESTS[self.variant](type_url=type_url, **{listed: names}, **fields)
        request.node.id = "node-1"
        await self.call.write(request.SerializeToString())

    async def hear(self) -> Any:
        """Return the next response; raises the call's error when it has ended."""
        data = await asyncio.wait_for(self.call.read(), SOON)
        if data is grpc.aio.EOF:
            raise grpc.aio.AioRpcError(await self.call.code(), None, None, await self.call.details())
        return RESPONSES[self.variant].FromString(data)

    async def acknowledge(self, response: Any) -> None:
        """Send an ACK."""
        fields = {} if self.variant == "delta" else {"version_info": response.version_info}
        await self.ask(response.type_url, response_nonce=response.nonce, **fields)


@asynccontextmanager
async def connected(endpoint: Endpoint, variant: str) -> AsyncIterator[Client]:
    """Open one stream on a channel of its own."""
    async with grpc.aio.insecure_channel(endpoint.address) as channel:
        call = channel.stream_stream(METHODS[variant])()
        yield Client(variant, call)
        call.cancel()


@both
async def test_a_stream_before_the_sources_are_synced_is_unavailable(endpoint: Endpoint, variant: str) -> None:
    """The client keeps what it has and tries again, here or elsewhere (xds-protocol 47)."""
    async with connected(endpoint, variant) as client:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await client.hear()
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
    assert "not ready" in (refused.value.details() or "")


@both
async def test_a_change_arrives_and_an_acknowledgement_is_met_with_silence(endpoint: Endpoint, variant: str) -> None:
    """The state machine is connected to the socket and to the publisher (xds-protocol 10, 8)."""
    endpoint.put("CDS c1")
    async with connected(endpoint, variant) as client:
        await client.ask()
        first = await client.hear()
        await client.acknowledge(first)
        endpoint.put("CDS c1@2")
        second = await client.hear()
    assert first.control_plane.identifier
    assert [len(one.resources) for one in (first, second)] == [1, 1]
    assert first.nonce != second.nonce


@both
async def test_bytes_that_are_no_request_end_only_their_own_stream(endpoint: Endpoint, variant: str) -> None:
    """With INVALID_ARGUMENT and a sentence (xds-protocol 2)."""
    endpoint.put("CDS c1")
    async with connected(endpoint, variant) as good, connected(endpoint, variant) as bad:
        await good.ask()
        await good.acknowledge(await good.hear())
        await bad.call.write(b"\xff\xff\xff")
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await bad.hear()
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        endpoint.put("CDS c2")
        assert (await good.hear()).type_url == CLUSTER


@both
async def test_a_first_request_without_a_node_ends_its_stream(endpoint: Endpoint, variant: str) -> None:
    """With a status, not with a crash (xds-protocol 1)."""
    endpoint.put("CDS c1")
    async with connected(endpoint, variant) as client:
        await client.call.write(REQUESTS[variant](type_url=CLUSTER).SerializeToString())
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await client.hear()
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_many_streams_get_the_same_change(endpoint: Endpoint) -> None:
    """Of both variants, from one node: each is answered for itself (xds-protocol 48)."""
    endpoint.put("CDS c1")
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(connected(endpoint, variant)) for variant in ("delta", "sotw") * 20]
        for client in clients:
            await client.ask()
        for client in clients:
            await client.acknowledge(await client.hear())
        endpoint.put("CDS c1@2")
        contents = {str((await client.hear()).resources[0])[-20:] for client in clients}
        assert len(endpoint.clients) == 40
    assert len(contents) == 2  # one for each variant


async def test_a_client_that_reads_nothing_costs_the_others_nothing(endpoint: Endpoint) -> None:
    """Each stream has its own place; nothing queues up for the slow one (xds-protocol 49)."""
    large = "x" * 200_000
    endpoint.put("CDS c1")
    async with connected(endpoint, "delta") as slow, connected(endpoint, "delta") as quick:
        for client in (slow, quick):
            await client.ask(ENDPOINT, "c1")
        for number in range(50):
            one = resource("EDS", "c1", f"{large}{number}")
            endpoint.publisher.publish((endpoint.publisher.target or Target()).apply({one.key: one}))
            response = await quick.hear()
            while not response.resources:  # the first answer said that there are none
                await quick.acknowledge(response)
                response = await quick.hear()
            assert response.resources[0].resource.value.endswith(f"x{number}".encode())
            await quick.acknowledge(response)
        answers = [await slow.hear()]
        await slow.acknowledge(answers[0])
        answers.append(await slow.hear())
    assert answers[1].resources[0].resource.value.endswith(b"x49")


async def test_a_server_that_stops_ends_its_streams(tmp_path: Path) -> None:
    """With UNAVAILABLE, within its bound, so that clients go elsewhere (xds-protocol 46)."""
    one = Endpoint(Publisher(), Clients(), f"unix:{tmp_path}/xds.sock")
    async with AsyncExitStack() as stack:
        async with XdsServer(one.publisher, one.clients, one.address).serving():
            one.put("CDS c1")
            client = await stack.enter_async_context(connected(one, "delta"))
            await client.ask()
            await client.hear()
        with pytest.raises(grpc.aio.AioRpcError) as ended:
            await client.hear()
    assert ended.value.code() is grpc.StatusCode.UNAVAILABLE
    assert len(one.clients) == 0
