"""What a request says, in both variants."""

from __future__ import annotations

from typing import Any

import pytest
from envoy.service.discovery.v3 import discovery_pb2

from nodegate.server.protocol.decode import decode_request
from nodegate.server.protocol.request import InitialVersions, ProtocolError, Request, Variant
from nodegate.snapshot.facts import NodeFacts
from nodegate.snapshot.type_urls import CLUSTER

variants = pytest.mark.parametrize("variant", list(Variant))


def message(variant: Variant) -> Any:
    """Return an empty request."""
    return discovery_pb2.DeltaDiscoveryRequest() if variant is Variant.DELTA else discovery_pb2.DiscoveryRequest()


def decoded(request: Any) -> Request:
    """Return what the server reads in this request."""
    delta = isinstance(request, discovery_pb2.DeltaDiscoveryRequest)
    return decode_request(Variant.DELTA if delta else Variant.SOTW, request.SerializeToString())


def test_a_state_of_the_world_request_says_its_names_and_its_version() -> None:
    """They are the whole subscription, and what the client holds (xds-protocol 10, 21)."""
    request = discovery_pb2.DiscoveryRequest(
        type_url=CLUSTER, response_nonce="7", version_info="v3", resource_names=["b", "a"]
    )
    assert decoded(request) == Request(CLUSTER, "7", version="v3", names=("b", "a"))


def test_a_delta_request_says_what_changes_and_what_is_held() -> None:
    """Names come and go, and those held from an earlier stream have versions (xds-protocol 27, 37)."""
    request = discovery_pb2.DeltaDiscoveryRequest(
        type_url=CLUSTER,
        response_nonce="7",
        resource_names_subscribe=["a"],
        resource_names_unsubscribe=["b"],
        initial_resource_versions={"c": "1"},
    )
    assert decoded(request) == Request(CLUSTER, "7", subscribe=("a",), unsubscribe=("b",), initial_versions={"c": "1"})


def test_versions_that_are_held_are_equal_whatever_else_the_request_says() -> None:
    """Those of a client are compared with those of the target as they are (xds-protocol 37)."""
    versions = {f"c{number}": str(number) for number in range(100)}
    request = discovery_pb2.DeltaDiscoveryRequest(type_url=CLUSTER, response_nonce="7", node={"id": "envoy-1"})
    request.resource_names_subscribe.append("*")
    request.error_detail.message = "c1 is bad"
    request.MergeFromString(b"\xa2\x06\x01x")  # a field that this API does not know
    for name in sorted(versions, reverse=True):
        request.initial_resource_versions[name] = versions[name]
    read = decoded(request)
    assert (read.nonce, read.subscribe, read.error) == ("7", ("*",), "c1 is bad")
    assert read.initial_versions == InitialVersions.of(versions)
    assert read.initial_versions == versions
    assert dict(read.initial_versions) == versions
    assert (len(read.initial_versions), read.initial_versions["c7"]) == (100, "7")
    for other in (versions | {"c7": "8"}, versions | {"new": "1"}, {}):
        assert read.initial_versions != InitialVersions.of(other)
        assert read.initial_versions != other
    with pytest.raises(KeyError):
        read.initial_versions["none"]


@variants
def test_what_is_no_request_is_said_to_be_none(variant: Variant) -> None:
    """In a sentence that says of which variant (xds-protocol 2)."""
    with pytest.raises(ProtocolError, match=f"^The request is not a valid {variant.value} discovery request: .+"):
        decode_request(variant, b"\xff")


@variants
def test_the_presence_of_an_error_makes_a_nack(variant: Variant) -> None:
    """Whatever it says; a client that gives no reason is quoted with the code (xds-protocol 11)."""
    request = message(variant)
    assert decoded(request).error is None
    request.error_detail.SetInParent()
    assert decoded(request).error == "The client gave no reason (code 0)."
    request.error_detail.message = "c1 is bad"
    assert decoded(request).error == "c1 is bad"


@variants
def test_the_node_says_who_the_client_is_and_where(variant: Variant) -> None:
    """By its metadata (xds-protocol 1)."""
    request = message(variant)
    assert decoded(request).node is None
    request.node.id = "envoy-1"
    request.node.client_features.extend(["x", "y"])
    request.node.metadata.update(
        {
            "nodegate.dev/node": "worker-1",
            "nodegate.dev/zone": "west",
            "nodegate.dev/role": "agent",
            "nodegate.dev/transparent": True,
        }
    )
    node = decoded(request).node
    assert node is not None
    assert (node.id, node.features, node.is_agent) == ("envoy-1", frozenset({"x", "y"}), True)
    assert node.facts == NodeFacts("worker-1", "west", transparent=True)


@variants
def test_a_node_without_metadata_is_an_ordinary_proxy_in_the_zone_of_its_locality(variant: Variant) -> None:
    """Envoy's own way to say the zone; metadata come first (xds-protocol 1)."""
    request = message(variant)
    request.node.locality.zone = "east"
    node = decoded(request).node
    assert node is not None
    assert (node.facts, node.role, node.user_agent) == (NodeFacts(zone="east"), "", "")
    request.node.metadata.update({"nodegate.dev/zone": "west", "nodegate.dev/transparent": False})
    node = decoded(request).node
    assert node is not None
    assert node.facts == NodeFacts(zone="west")


@variants
def test_a_client_is_called_by_its_program_and_version(variant: Variant) -> None:
    """Envoy says it in numbers, gRPC as text (xds-protocol 1)."""
    request = message(variant)
    request.node.user_agent_name = "gRPC C-core"
    request.node.user_agent_version = "C-core 54"
    assert _user_agent(request) == "gRPC C-core C-core 54"
    request.node.ClearField("user_agent_version")
    assert _user_agent(request) == "gRPC C-core"
    version = request.node.user_agent_build_version.version
    version.major_number, version.minor_number, version.patch = 1, 40, 2
    assert _user_agent(request) == "gRPC C-core 1.40.2"


def _user_agent(request: Any) -> str:
    node = decoded(request).node
    assert node is not None
    return node.user_agent
