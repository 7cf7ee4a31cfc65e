"""Resources as plain values, for people: ``nodegate translate``, debug pages, golden files."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.config.route.v3 import route_pb2
from envoy.extensions.transport_sockets.tls.v3 import secret_pb2
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from nodegate.snapshot.facts import NodeFacts
from nodegate.snapshot.resource import Entry, Resource
from nodegate.snapshot.type_urls import CLUSTER, ENDPOINT, LISTENER, REDIRECT, ROUTE, SECRET, SEND_ORDER, SHORT_NAME
from nodegate_protos import redirect_pb2

MESSAGE_OF: dict[str, type[Message]] = {
    CLUSTER: cluster_pb2.Cluster,
    ENDPOINT: endpoint_pb2.ClusterLoadAssignment,
    SECRET: secret_pb2.Secret,
    LISTENER: listener_pb2.Listener,
    ROUTE: route_pb2.RouteConfiguration,
    REDIRECT: redirect_pb2.ServiceRedirect,
}
"""The message class of each type that translation makes."""

REDACTED = b"[redacted]"


def message_of(resource: Resource) -> Any:
    """Return a resource's bytes as a message of their type."""
    return MESSAGE_OF[resource.type_url].FromString(resource.body)


def rendered(resource: Resource) -> dict[str, Any]:
    """Return a resource as a plain value with Envoy's field names. A private key is replaced by ``[redacted]``."""
    message = message_of(resource)
    if resource.type_url == SECRET and message.tls_certificate.private_key.inline_bytes:
        message.tls_certificate.private_key.inline_bytes = REDACTED
    return as_plain(message)


def rendered_snapshot(entries: Iterable[Entry], facts: NodeFacts) -> dict[str, dict[str, Any]]:
    """Return resources as they are for a client with these facts: by short type name, then by name, both ordered."""
    resources = sorted((entry.resolve(facts) for entry in entries), key=lambda resource: resource.name)
    return {
        SHORT_NAME[type_url]: of_type
        for type_url in SEND_ORDER
        if (of_type := {r.name: rendered(r) for r in resources if r.type_url == type_url and type_url in MESSAGE_OF})
    }


def as_plain(message: Message) -> dict[str, Any]:
    """Return a message as JSON-like values, with the field names of the Envoy API."""
    plain: dict[str, Any] = _plain(MessageToDict(message, preserving_proto_field_name=True))
    return plain


_MAPS = frozenset({"typed_per_filter_config", "typed_extension_protocol_options", "policies", "json_format"})
"""Fields that are maps, whose order says nothing and differs from process to process."""


def _plain(value: Any, field: str = "") -> Any:
    """Return the same value of dicts and lists alone: an ``Any`` is rendered as an OrderedDict, which YAML refuses."""
    if isinstance(value, dict):
        keys = sorted(value) if field in _MAPS else value
        return {key: _plain(value[key], key) for key in keys}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value
