"""What is composed of bytes that were serialised once says the same as a message that is made for each."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import Any

from envoy.config.core.v3 import health_check_pb2
from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.config.listener.v3 import listener_pb2
from hypothesis import given
from hypothesis import strategies as st

from nodegate.snapshot.facts import NodeFacts
from nodegate.translate.connection_manager import HttpConnectionManager, connection_manager
from nodegate.translate.endpoints import assignment
from nodegate.translate.listeners import Place, listener
from nodegate.translate.names import ClusterKey, Scheme
from nodegate.translate.packing import serialised
from nodegate.translate.settings import Settings
from nodegate.translate.upstreams import upstream
from tests.unit.translate.objects import READY, TERMINATING, endpoints, service

NAMES = st.from_regex(r"[a-z0-9]([-a-z0-9.]{0,120}[a-z0-9])?", fullmatch=True)
PORTS = st.integers(1, 65_535)
ADDRESSES = {"IPv4": st.integers(0, 2**32 - 1).map(IPv4Address), "IPv6": st.integers(0, 2**128 - 1).map(IPv6Address)}


@given(st.sampled_from(["IPv4", "IPv6"]), PORTS, NAMES, st.data())
def test_endpoints(family: str, port: int, name: str, data: st.DataObject) -> None:
    """Every address once, in order, with its port and whether it drains (ingress.md 25)."""
    addresses = st.sets(ADDRESSES[family].map(str))
    conditions = dict.fromkeys(data.draw(addresses), TERMINATING)
    conditions |= dict.fromkeys(data.draw(addresses.filter(bool)), READY)  # without any, those that drain would serve
    made = assignment(
        ClusterKey(("default", name), "80"),
        upstream(service(name)),
        [endpoints(name, *conditions.items(), port=port, address_type=family)],
    )
    expected: Any = endpoint_pb2.ClusterLoadAssignment(cluster_name=f"default/{name}/80")
    group = expected.endpoints.add()
    for address in sorted(conditions):
        endpoint = group.lb_endpoints.add()
        endpoint.endpoint.address.socket_address.address = address
        endpoint.endpoint.address.socket_address.port_value = port
        if conditions[address] is TERMINATING:
            endpoint.health_status = health_check_pb2.DRAINING
    assert made.entry.resolve(NodeFacts()).body == serialised(expected)


@given(NAMES, PORTS)
def test_plain_listeners(name: str, port: int) -> None:
    """The connection manager in the bytes is the one that is made for this listener alone."""
    place, settings = Place(f"default/{name}/http", port, Scheme.HTTP), Settings()
    body = listener(place, settings, (), {}, ()).resolve(NodeFacts()).body
    message: Any = listener_pb2.Listener.FromString(body)
    assert serialised(message) == body
    assert message.name == f"{place.base}@{port}"
    manager = HttpConnectionManager()
    assert message.filter_chains[0].filters[0].typed_config.Unpack(manager)
    assert manager == connection_manager(place.base, Scheme.HTTP, settings)
