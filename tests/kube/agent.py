"""An agent that acknowledges when the test says so; the real one does when the kernel holds what it was sent."""

from __future__ import annotations

import queue
from types import TracebackType
from typing import Self

import grpc
from envoy.service.discovery.v3 import discovery_pb2 as pb

from nodegate.snapshot.type_urls import REDIRECT

DELTA = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"
PATIENCE = 20.0


class Agent:
    """A stream of the agent of a node."""

    def __init__(self, address: str, node: str = "node-1") -> None:
        self._requests: queue.SimpleQueue[pb.DeltaDiscoveryRequest] = queue.SimpleQueue()
        self._channel = grpc.insecure_channel(address, [("grpc.use_local_subchannel_pool", 1)])
        call = self._channel.stream_stream(
            DELTA,
            request_serializer=pb.DeltaDiscoveryRequest.SerializeToString,
            response_deserializer=pb.DeltaDiscoveryResponse.FromString,
        )
        self._responses = call(iter(self._requests.get, None), timeout=PATIENCE * 3)
        self._nonce = ""
        first = pb.DeltaDiscoveryRequest(type_url=REDIRECT, resource_names_subscribe=["*"])
        first.node.id = f"agent~{node}"
        first.node.metadata.update({"nodegate.dev/node": node, "nodegate.dev/role": "agent"})
        self._requests.put(first)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._responses.cancel()
        self._channel.close()

    def receive(self) -> set[str]:
        """Return the names of the redirects that it is sent next."""
        response = next(self._responses)
        self._nonce = response.nonce
        return {one.name for one in response.resources}

    def acknowledge(self) -> None:
        """Say that it has done what it was sent last."""
        self._requests.put(pb.DeltaDiscoveryRequest(type_url=REDIRECT, response_nonce=self._nonce))
