"""An agent of node-1 that acknowledges every redirect, as a process: ``python -m tests.e2e.rig.agreeing ADDRESS``."""

from __future__ import annotations

import asyncio
import sys

import grpc.aio
from envoy.service.discovery.v3.discovery_pb2 import DeltaDiscoveryRequest, DeltaDiscoveryResponse

from nodegate.snapshot.type_urls import REDIRECT
from tests.e2e.rig.hostile import METHOD


async def agree(address: str) -> None:
    """Ask for every redirect and acknowledge each response."""
    async with grpc.aio.insecure_channel(address) as channel:
        call = channel.stream_stream(
            METHOD,
            request_serializer=DeltaDiscoveryRequest.SerializeToString,
            response_deserializer=DeltaDiscoveryResponse.FromString,
        )()
        request = DeltaDiscoveryRequest(type_url=REDIRECT, resource_names_subscribe=["*"])
        request.node.id = "agent~node-1"
        request.node.metadata["nodegate.dev/node"] = "node-1"
        request.node.metadata["nodegate.dev/role"] = "agent"
        await call.write(request)
        async for response in call:
            await call.write(DeltaDiscoveryRequest(type_url=REDIRECT, response_nonce=response.nonce))


if __name__ == "__main__":
    asyncio.run(agree(sys.argv[1]))
