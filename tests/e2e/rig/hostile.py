"""A client that rejects everything it is sent, as a process of its own: ``python -m tests.e2e.rig.hostile ADDRESS``."""

from __future__ import annotations

import asyncio
import sys

import grpc.aio
from envoy.service.discovery.v3.discovery_pb2 import DeltaDiscoveryRequest, DeltaDiscoveryResponse

from nodegate.snapshot.type_urls import CLUSTER, ENDPOINT, LISTENER, ROUTE

METHOD = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"
WORDS = "I want none of this"


async def reject_everything(address: str) -> None:
    """Subscribe to everything and refuse each response, naming everything in it."""
    async with grpc.aio.insecure_channel(address) as channel:
        call = channel.stream_stream(
            METHOD,
            request_serializer=DeltaDiscoveryRequest.SerializeToString,
            response_deserializer=DeltaDiscoveryResponse.FromString,
        )()
        for type_url in (CLUSTER, ENDPOINT, LISTENER, ROUTE):
            request = DeltaDiscoveryRequest(type_url=type_url, resource_names_subscribe=["*"])
            request.node.id = "hostile"
            await call.write(request)
        async for response in call:
            answer = DeltaDiscoveryRequest(type_url=response.type_url, response_nonce=response.nonce)
            names = ", ".join(resource.name for resource in response.resources)
            answer.error_detail.code, answer.error_detail.message = 13, f"{WORDS}: {names}"
            await call.write(answer)


if __name__ == "__main__":
    asyncio.run(reject_everything(sys.argv[1]))
