"""CSDS: each client's configuration and how far it is, in the form that existing tools read.

Source: ``envoy/service/status/v3/csds.proto``. Secrets are named, their content is never shown.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import grpc
import re2
from envoy.admin.v3 import config_dump_shared_pb2
from envoy.service.status.v3 import csds_pb2, csds_pb2_grpc

from nodegate.server.clients import Clients, Connection
from nodegate.server.protocol.type_state import TypeState
from nodegate.snapshot.facts import NodeFacts
from nodegate.snapshot.publisher import Publisher
from nodegate.snapshot.resource import Resource
from nodegate.snapshot.target import Target
from nodegate.snapshot.type_urls import SECRET

_RESOURCE = config_dump_shared_pb2


class ClientStatusService(csds_pb2_grpc.ClientStatusDiscoveryServiceServicer):
    """Answers with one ClientConfig per connected client, filtered by node id where asked."""

    def __init__(self, publisher: Publisher, clients: Clients) -> None:
        self._publisher = publisher
        self._clients = clients

    async def StreamClientStatus(self, requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:  # noqa: N802
        """Answer every request of a stream."""
        async for request in requests:
            yield await self._answer(request, context)

    async def FetchClientStatus(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Answer one request."""
        return await self._answer(request, context)

    async def _answer(self, request: Any, context: Any) -> Any:
        if any(matcher.node_metadatas for matcher in request.node_matchers):
            message = "Clients can be chosen by node_id only; leave node_metadatas out of node_matchers."
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, message)
        response = csds_pb2.ClientStatusResponse()
        for connection in self._clients.connections():
            node = connection.stream.node
            if node is not None and _matches(node.id, request.node_matchers):
                target = self._publisher.target or Target()
                contents = not request.exclude_resource_contents
                response.config.append(client_config(connection, target, contents=contents))
        return response


def client_config(connection: Connection, target: Target, *, contents: bool) -> Any:
    """Return the ClientConfig of one client: every resource it asks for or holds, with its state."""
    node = connection.stream.node
    config = csds_pb2.ClientConfig(client_scope=f"stream {connection.id} from {connection.peer}")
    if node is not None:
        config.node.id = node.id
        config.node.user_agent_name = node.user_agent
        config.node.metadata.update({"nodegate.dev/node": node.facts.node})
    facts = node.facts if node is not None else NodeFacts()
    for state in connection.stream.states.values():
        config.generic_xds_configs.extend(_resource_configs(state, target, facts, contents=contents))
    return config


def _resource_configs(state: TypeState, target: Target, facts: NodeFacts, *, contents: bool) -> Iterator[Any]:
    entries = target.of_type(state.type_url)
    asked = set(state.subscription.names)
    if state.subscription.wildcard:
        asked.update(entries)
    asked.update(state.ledger.names())
    for name in sorted(asked):
        entry = entries.get(name)
        resource = entry.resolve(facts) if entry is not None else None
        yield _resource_config(state, name, resource, contents=contents)


def _resource_config(state: TypeState, name: str, resource: Resource | None, *, contents: bool) -> Any:
    config = csds_pb2.ClientConfig.GenericXdsConfig(type_url=state.type_url, name=name)
    config.config_status, config.client_status = _status(state, name, resource)
    rejection, postponement = state.rejections.rejected.get(name), state.postponed.get(name)
    if rejection is not None:
        config.error_state.details = rejection.text
        config.error_state.version_info = rejection.version
    elif postponement is not None:
        config.error_state.details = postponement.words
        config.error_state.version_info = postponement.version or ""
    held = state.ledger.get(name)
    if held is not None:
        config.version_info = held.version
    if contents and isinstance(held, Resource) and state.type_url != SECRET:
        config.xds_config.type_url, config.xds_config.value = state.type_url, held.body
    return config


def _status(state: TypeState, name: str, resource: Resource | None) -> tuple[int, int]:
    """Return the ConfigStatus of the server's view and the ClientResourceStatus of the client's."""
    held = state.ledger.get(name)
    rejection = state.rejections.rejected.get(name)
    if resource is None:
        return csds_pb2.STALE if held else csds_pb2.NOT_SENT, _RESOURCE.DOES_NOT_EXIST
    if rejection is not None and rejection.version == resource.version:
        return csds_pb2.ERROR, _RESOURCE.NACKED
    if state.postpones(name, resource.version):
        return csds_pb2.ERROR, _RESOURCE.NACKED
    if held is not None and held.version == resource.version:
        return csds_pb2.SYNCED, _RESOURCE.ACKED
    in_flight = state.outstanding is not None and name in state.outstanding.sent
    if held is None and not in_flight:
        return csds_pb2.NOT_SENT, _RESOURCE.REQUESTED
    return csds_pb2.STALE, _RESOURCE.ACKED if held else _RESOURCE.REQUESTED


def _matches(node_id: str, matchers: Any) -> bool:
    return not matchers or any(_matches_text(node_id, matcher.node_id) for matcher in matchers)


def _matches_text(text: str, matcher: Any) -> bool:
    """Apply an ``envoy.type.matcher.v3.StringMatcher``; an empty one matches everything."""
    kind = matcher.WhichOneof("match_pattern")
    if kind is None:
        return True
    pattern = matcher.safe_regex.regex if kind == "safe_regex" else getattr(matcher, kind)
    if matcher.ignore_case and kind != "safe_regex":
        text, pattern = text.lower(), pattern.lower()
    return kind in _TESTS and _TESTS[kind](text, pattern)


def _matches_regex(text: str, pattern: str) -> bool:
    try:
        return re2.fullmatch(pattern, text) is not None
    except re2.error:
        return False


_TESTS: dict[str, Callable[[str, str], bool]] = {
    "exact": lambda text, pattern: text == pattern,
    "prefix": lambda text, pattern: text.startswith(pattern),
    "suffix": lambda text, pattern: text.endswith(pattern),
    "contains": lambda text, pattern: pattern in text,
    "safe_regex": _matches_regex,
}
