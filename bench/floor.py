"""The floor: a bare grpc.aio server that sends the bytes nodegate would send, and knows nothing else.

``python -m bench.floor RESOURCES``. The first request for a type on a stream is answered with what it names, or with
everything; every change goes to every stream; what clients answer is read and thrown away. The scenarios are such
that these are the right bytes.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import grpc
from envoy.service.discovery.v3.discovery_pb2 import (
    DeltaDiscoveryRequest,
    DeltaDiscoveryResponse,
    DiscoveryRequest,
    DiscoveryResponse,
)

from bench.control import obey
from bench.resources import read
from nodegate.snapshot.resource import Resource, field_bytes

_SERVICE = "envoy.service.discovery.v3.AggregatedDiscoveryService"
_NONCE_VALUE = b"floor-nonce"
_NONCE = field_bytes(5, _NONCE_VALUE)  # field 5 of DiscoveryResponse and of DeltaDiscoveryResponse


class Floor:
    """Ready bytes, and the streams they go to."""

    def __init__(self, initial: Iterable[Resource]) -> None:
        self._resources: dict[tuple[str, str], Resource] = {one.key: one for one in initial}
        self._prepared: dict[bool, bytes] = {}
        self._change: dict[bool, bytes] = {}
        self._changed = asyncio.Event()

    def prepare(self, path: Path) -> None:
        """Build the messages of a change, one for each variant."""
        changed = _read_resources(path)
        self._resources.update({one.key: one for one in changed})
        self._prepared = {delta: body_of(changed, delta=delta) for delta in (False, True)}

    def apply(self) -> None:
        """Wake every stream to send the prepared message."""
        self._change = self._prepared
        self._changed.set()
        self._changed = asyncio.Event()

    async def delta(self, requests: object, context: Any) -> None:
        """Serve one delta stream."""
        del requests  # reading from the context costs a tenth less
        await self._serve(context, delta=True)

    async def sotw(self, requests: object, context: Any) -> None:
        """Serve one state-of-the-world stream."""
        del requests
        await self._serve(context, delta=False)

    async def _serve(self, context: Any, *, delta: bool) -> None:
        async with asyncio.TaskGroup() as tasks:
            writer = tasks.create_task(self._write_changes(context, delta=delta))
            await self._answer(context, delta=delta)
            writer.cancel()

    async def _answer(self, context: Any, *, delta: bool) -> None:
        while (request := await context.read()) is not grpc.aio.EOF:
            if _NONCE_VALUE not in request:  # else it acknowledges
                await context.write(self._first_answer(request, delta=delta) + _NONCE)

    def _first_answer(self, request: bytes, *, delta: bool) -> bytes:
        type_url, wanted, known = _subscription(request, delta=delta)
        if known and not wanted:
            return bytes(DeltaDiscoveryResponse(type_url=type_url).SerializeToString())
        if wanted:
            return body_of((self._resources[type_url, name] for name in wanted), delta=delta)
        return body_of((one for one in self._resources.values() if one.type_url == type_url), delta=delta)

    async def _write_changes(self, context: Any, *, delta: bool) -> None:
        while True:
            await self._changed.wait()
            await context.write(self._change[delta] + _NONCE)


def body_of(resources: Iterable[Resource], *, delta: bool) -> bytes:
    """Return a response with these resources, of one type, without its nonce."""
    listed = list(resources)
    envelope = (DeltaDiscoveryResponse if delta else DiscoveryResponse)(type_url=listed[0].type_url)
    if delta:
        envelope.system_version_info = listed[0].version
    else:
        envelope.version_info = listed[0].version
    entries = [one.delta_entry if delta else one.sotw_entry for one in listed]
    return b"".join([envelope.SerializeToString(), *entries])


def _subscription(request: bytes, *, delta: bool) -> tuple[str, Sequence[str], bool]:
    """Return type URL, names and whether the client named versions that it has."""
    if delta:
        first = DeltaDiscoveryRequest.FromString(request)
        return first.type_url, first.resource_names_subscribe, bool(first.initial_resource_versions)
    whole = DiscoveryRequest.FromString(request)
    return whole.type_url, whole.resource_names, False


def _read_resources(path: Path) -> list[Resource]:
    return [Resource(body.type_url, body.name, body.body) for body in read(path)]


async def _main(path: Path) -> None:
    floor = Floor(_read_resources(path))
    server = grpc.aio.server(options=[("grpc.max_receive_message_length", 64 << 20)])
    handlers = {
        "DeltaAggregatedResources": grpc.stream_stream_rpc_method_handler(floor.delta),
        "StreamAggregatedResources": grpc.stream_stream_rpc_method_handler(floor.sotw),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(_SERVICE, handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    await obey(f"127.0.0.1:{port}", floor)
    os._exit(0)  # the clients are gone, and ending their streams in order is not what is measured


if __name__ == "__main__":
    asyncio.run(_main(Path(sys.argv[1])))
