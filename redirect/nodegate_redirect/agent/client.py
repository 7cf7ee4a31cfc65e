"""The gRPC shell around :mod:`session`: one ADS stream after another, to whichever replica answers."""

from __future__ import annotations

import asyncio
import random
from asyncio import TaskGroup
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import structlog
from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf.message import DecodeError

from nodegate_redirect.agent.following import Following, Message
from nodegate_redirect.agent.session import Request, Session

log = structlog.get_logger(__name__)

REDIRECT = "type.googleapis.com/nodegate.redirect.v1.ServiceRedirect"
NODE_KEY, ROLE_KEY = "nodegate.dev/node", "nodegate.dev/role"

_METHOD = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"
_FIRST_WAIT, _LONGEST_WAIT = 0.25, 5.0  # those of our Envoys' bootstrap
_REFUSED = 9  # google.rpc.Code.FAILED_PRECONDITION
_CHANNEL = (
    ("grpc.keepalive_time_ms", 15_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.http2.ping_timeout_ms", 5_000),  # without it a ping may stay unanswered for a minute
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.max_receive_message_length", -1),
    ("grpc.use_local_subchannel_pool", 1),  # a new attempt connects anew, and does not sit out gRPC's own backoff
)


@dataclass(frozen=True, slots=True)
class Tls:
    """How the control plane is checked, and how this node proves which one it is. Read at every connection.

    ``server_name`` is whom the certificate has to be for, empty: the host that is connected to.
    """

    ca: Path
    server_name: str = ""
    certificate: Path | None = None
    key: Path | None = None


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Whom to connect to, ``HOST:PORT`` or ``unix:PATH`` each, and as whom."""

    addresses: tuple[str, ...]
    node: str
    node_id: str
    version: str
    tls: Tls | None = None


class Client:
    """Keeps a stream open for as long as it runs. ``connected`` is the address of the one that is, empty without any.

    ``wake`` is called when there is something new in ``following``; whoever acts on it calls :meth:`settle` after.
    """

    def __init__(self, endpoint: Endpoint, following: Following, wake: Callable[[], None]) -> None:
        self._endpoint = endpoint
        self._following = following
        self._wake = wake
        self._session: Session | None = None
        self._requests: list[Request] = []
        self._written = asyncio.Event()
        self._problems: Mapping[str, str] = {}
        self.connected = ""
        self.last_error = ""
        self.acked = self.nacked = 0

    async def run(self) -> None:
        """Connect, and connect again whenever a stream ends, to the next address each time."""
        failures, number = 0, random.randrange(len(self._endpoint.addresses))  # noqa: S311  # nothing secret
        while True:
            address = self._endpoint.addresses[number % len(self._endpoint.addresses)]
            known, self.last_error = self.last_error, await self._stream(address)
            if self.connected or self.last_error != known:
                log.warning("No control plane; redirects stay as they are.", address=address, why=self.last_error)
            failures = 0 if self.connected else failures + 1
            self.connected = ""
            await asyncio.sleep(_pause(failures))
            number += 1

    def settle(self, sequence: int, problems: Mapping[str, str], refused: str = "") -> None:
        """Answer what was taken in, now that the kernel was brought to it; see :meth:`Session.settle`."""
        self._problems = problems
        if self._session is not None:
            self._say(self._session.settle(sequence, problems, refused))

    async def _stream(self, address: str) -> str:
        """Run one stream to its end, and return why it ended."""
        why = "the server ended the stream"
        try:
            async with self._channel(address) as channel:
                await self._talk(channel.stream_stream(_METHOD)(), address)
        except* (grpc.aio.AioRpcError, grpc.aio.UsageError, asyncio.InvalidStateError, DecodeError, OSError) as errors:
            why = _told(errors)
        finally:
            self._session = None
        return why

    async def _talk(self, call: Any, address: str) -> None:
        self._session = session = Session(self._following)
        self._requests.clear()
        self._say([session.opening(self._problems)])
        async with TaskGroup() as tasks:
            writing = tasks.create_task(self._write(call))
            await self._read(call, session, address)
            writing.cancel()

    async def _read(self, call: Any, session: Session, address: str) -> None:
        while (data := await call.read()) is not grpc.aio.EOF:
            if not self.connected:
                self.connected = address
                log.info("Connected to the control plane.", address=address)
            session.take(_message(data))
            self._wake()

    async def _write(self, call: Any) -> None:
        first = True
        while True:
            await self._written.wait()
            self._written.clear()
            requests, self._requests = self._requests, []
            for request in requests:
                await call.write(self._encoded(request, first=first))
                first = False

    def _say(self, requests: list[Request]) -> None:
        for request in requests:
            self.acked += bool(request.nonce) and request.error is None
            self.nacked += request.error is not None
        self._requests += requests
        self._written.set()

    def _channel(self, address: str) -> Any:
        tls = self._endpoint.tls
        if tls is None:
            return grpc.aio.insecure_channel(address, options=_CHANNEL)
        credentials = grpc.ssl_channel_credentials(
            tls.ca.read_bytes(),
            tls.key.read_bytes() if tls.key else None,
            tls.certificate.read_bytes() if tls.certificate else None,
        )
        name = (("grpc.ssl_target_name_override", tls.server_name),) if tls.server_name else ()
        return grpc.aio.secure_channel(address, credentials, options=(*_CHANNEL, *name))

    def _encoded(self, request: Request, *, first: bool) -> bytes:
        message = discovery_pb2.DeltaDiscoveryRequest(
            type_url=REDIRECT,
            response_nonce=request.nonce,
            resource_names_subscribe=request.subscribe,
            initial_resource_versions=request.versions,
        )
        if request.error is not None:
            message.error_detail.code, message.error_detail.message = _REFUSED, request.error
        if first:
            message.node.id = self._endpoint.node_id
            message.node.user_agent_name, message.node.user_agent_version = "nodegate-agent", self._endpoint.version
            message.node.metadata.update({NODE_KEY: self._endpoint.node, ROLE_KEY: "agent"})
        return bytes(message.SerializeToString())


def _message(data: bytes) -> Message:
    response = discovery_pb2.DeltaDiscoveryResponse.FromString(data)
    resources = {one.name: (one.version, one.resource.value) for one in response.resources}
    return Message(response.nonce, resources, tuple(response.removed_resources))


def _pause(failures: int) -> float:
    """Return how long to wait: twice as long each time, half of it by chance, so that nodes part ways."""
    whole = min(_LONGEST_WAIT, _FIRST_WAIT * 2.0 ** min(failures, 16))
    return whole * (0.5 + 0.5 * random.random())  # noqa: S311  # nothing secret


def _told(error: BaseException) -> str:
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(map(_told, error.exceptions))
    if isinstance(error, grpc.aio.AioRpcError):
        return f"{error.code().name}: {error.details()}"
    return str(error) or type(error).__name__
