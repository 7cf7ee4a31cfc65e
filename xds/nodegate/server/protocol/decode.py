"""Bytes of a request to a value."""

from __future__ import annotations

from typing import Any

from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf.message import DecodeError

from nodegate.server.protocol.request import NO_VERSIONS, ClientNode, InitialVersions, ProtocolError, Request, Variant
from nodegate.snapshot.facts import NodeFacts

NODE_KEY = "nodegate.dev/node"
ZONE_KEY = "nodegate.dev/zone"
ROLE_KEY = "nodegate.dev/role"
TRANSPARENT_KEY = "nodegate.dev/transparent"


def decode_request(variant: Variant, data: bytes) -> Request:
    """Return the request in these bytes; raises ProtocolError when they are not one."""
    try:
        if variant is Variant.SOTW:
            return _sotw(discovery_pb2.DiscoveryRequest.FromString(data))
        return _delta(discovery_pb2.DeltaDiscoveryRequest.FromString(data))
    except DecodeError as error:
        message = f"The request is not a valid {variant.value} discovery request: {error}."
        raise ProtocolError(message) from error


def _sotw(message: Any) -> Request:
    return Request(
        type_url=message.type_url,
        nonce=message.response_nonce,
        error=_error(message),
        node=_node(message),
        version=message.version_info,
        names=_names(message.resource_names),
    )


def _delta(message: Any) -> Request:
    return Request(
        type_url=message.type_url,
        nonce=message.response_nonce,
        error=_error(message),
        node=_node(message),
        subscribe=_names(message.resource_names_subscribe),
        unsubscribe=_names(message.resource_names_unsubscribe),
        initial_versions=InitialVersions(message) if message.initial_resource_versions else NO_VERSIONS,
    )


def _names(repeated: Any) -> tuple[str, ...]:
    return tuple(repeated) if repeated else ()  # most requests only acknowledge


def _error(message: Any) -> str | None:
    if not message.HasField("error_detail"):
        return None
    return message.error_detail.message or f"The client gave no reason (code {message.error_detail.code})."


def _node(message: Any) -> ClientNode | None:
    if not message.HasField("node"):
        return None
    node = message.node
    metadata = node.metadata.fields
    facts = NodeFacts(
        node=_text(metadata, NODE_KEY),
        zone=_text(metadata, ZONE_KEY) or node.locality.zone,
        transparent=TRANSPARENT_KEY in metadata and metadata[TRANSPARENT_KEY].bool_value,
    )
    return ClientNode(
        node.id, _user_agent(node), facts, frozenset(node.client_features), role=_text(metadata, ROLE_KEY)
    )


def _text(metadata: Any, key: str) -> str:
    return metadata[key].string_value if key in metadata else ""


def _user_agent(node: Any) -> str:
    version = node.user_agent_build_version.version
    if node.HasField("user_agent_build_version"):
        return f"{node.user_agent_name} {version.major_number}.{version.minor_number}.{version.patch}"
    return f"{node.user_agent_name} {node.user_agent_version}".strip()
