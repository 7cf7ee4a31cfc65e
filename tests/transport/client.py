"""A plain xDS client over a real channel."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
from envoy.service.discovery.v3 import discovery_pb2 as pb

from nodegate.snapshot.resource import Resource
from nodegate.snapshot.target import Target

ADS = "/envoy.service.discovery.v3.AggregatedDiscoveryService"
SOTW = f"{ADS}/StreamAggregatedResources"
DELTA = f"{ADS}/DeltaAggregatedResources"
PATIENCE = 10.0


def resource(type_url: str, name: str, body: bytes = b"\x0a\x01x", **more: Any) -> Resource:
    """Return a resource; its bytes mean nothing to the server."""
    return Resource(type_url, name, body, **more)


def target(*resources: Resource) -> Target:
    """Return a target with these resources."""
    return Target().apply({one.key: one for one in resources})


class Call:
    """One stream of requests and responses."""

    def __init__(self, call: Any, request: Any, response: Any) -> None:
        """Wrap a raw call of a method with these message classes."""
        self._call = call
        self._request = request
        self._response = response

    async def send(self, type_url: str, *, node: str = "", **fields: Any) -> None:
        """Send one request."""
        message = self._request(type_url=type_url, **fields)
        if node:
            message.node.id = node
        await self._call.write(message.SerializeToString())

    async def send_bytes(self, data: bytes) -> None:
        """Send bytes as they are."""
        await self._call.write(data)

    async def receive(self) -> Any:
        """Return the next response; raises StreamEnded when the stream ends with an error."""
        try:
            async with asyncio.timeout(PATIENCE):
                data = await self._call.read()
        except grpc.aio.AioRpcError as error:
            raise StreamEnded(error.code(), error.details() or "") from error
        if data is grpc.aio.EOF:
            await self.ended()
        return self._response.FromString(data)

    async def ended(self) -> grpc.StatusCode:
        """Wait for the end of the stream; raises StreamEnded unless it is OK."""
        async with asyncio.timeout(PATIENCE):
            code: grpc.StatusCode = await self._call.code()
        if code is not grpc.StatusCode.OK:
            raise StreamEnded(code, await self._call.details())
        return code

    def cancel(self) -> None:
        """End the stream from this side."""
        self._call.cancel()


class StreamEnded(Exception):
    """The server ended the stream with a status other than OK."""

    def __init__(self, code: grpc.StatusCode, details: str) -> None:
        """Keep the status."""
        super().__init__(f"{code.name}: {details}")
        self.code = code
        self.details = details


async def refusal_of(call: Call) -> StreamEnded:
    """Return the status of a call that the server ends before it has read anything.

    Nothing is written: whether that fails, and how, depends on what comes first, the write or the end.
    """
    try:
        await call.ended()
    except StreamEnded as ended:
        return ended
    message = "the server ended the stream without an error"
    raise AssertionError(message)


async def eventually(condition: Callable[[], bool]) -> None:
    """Wait until a condition on the server's own state holds; nothing announces that state."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


@asynccontextmanager
async def channel_to(address: str, credentials: grpc.ChannelCredentials | None = None) -> AsyncIterator[Any]:
    """Give a channel of its own connection, closed at the end."""
    options = (
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.max_receive_message_length", -1),
        ("grpc.ssl_target_name_override", "xds.test"),
    )
    opened = (
        grpc.aio.secure_channel(address, credentials, options)
        if credentials
        else grpc.aio.insecure_channel(address, options[:2])
    )
    async with opened as channel:
        yield channel


def stream(channel: Any, method: str = DELTA) -> Call:
    """Open a stream of a method; its name says the variant."""
    call = channel.stream_stream(method)()
    if method.rpartition("/")[2].startswith("Delta"):
        return Call(call, pb.DeltaDiscoveryRequest, pb.DeltaDiscoveryResponse)
    return Call(call, pb.DiscoveryRequest, pb.DiscoveryResponse)
