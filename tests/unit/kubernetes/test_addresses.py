"""The address of an Ingress: when it is written, which one, and when it goes."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from nodegate.model.changes import Upsert
from nodegate.model.objects import (
    Ingress,
    LoadBalancerIngress,
    LoadBalancerStatus,
    Metadata,
    Node,
    NodeAddress,
    NodeStatus,
    Object,
    ObjectStatus,
    OwnerReference,
    Service,
)
from nodegate.status.addresses import MOST_NODES, AddressWriter
from tests.unit.kubernetes.cluster import Requests

pytestmark = pytest.mark.looptime

PORTS = {"shop/web/http": 18_243, "shop/web/https": 12_001}


def status(*addresses: str) -> ObjectStatus:
    return ObjectStatus(LoadBalancerStatus(tuple(LoadBalancerIngress(ip=address) for address in addresses)))


def web(*addresses: str) -> Ingress:
    return Ingress(Metadata(name="web", namespace="shop", uid="u-1"), status=status(*addresses))


def node(name: str, **addresses: str) -> Node:
    return Node(Metadata(name=name), NodeStatus(tuple(NodeAddress(kind, ip) for kind, ip in addresses.items())))


def own_service(*addresses: str) -> Service:
    owner = OwnerReference("Ingress", "web", "u-1")
    labels = {"app.kubernetes.io/managed-by": "nodegate"}
    metadata = Metadata(
        name="nodegate-web",
        namespace="shop",
        labels=labels,
        annotations={"nodegate.dev/ingress": "web"},
        owner_references=(owner,),
    )
    return Service(metadata, status=status(*addresses))


NODE = node("one", InternalIP="192.0.2.1")


class Desk:
    """A writer, what it knows, and what it sent."""

    def __init__(self, *objects: Object, errors: tuple[int, ...] = ()) -> None:
        self.requests = Requests(*errors)
        self.writer = AddressWriter(self.requests)
        self.tell(*objects)
        self.asked: list[Mapping[str, int]] = []

    def tell(self, *objects: Object) -> None:
        """Tell the writer what the cluster holds."""
        self.writer.observe([Upsert(one) for one in objects])

    async def write(self, ports: Mapping[str, int] = PORTS, *, proved: bool = True) -> bool:
        """Let it write."""

        def is_proved(listeners: Mapping[str, int]) -> bool:
            self.asked.append(listeners)
            return proved

        return await self.writer.write(ports, ports, is_proved)

    @property
    def written(self) -> list[list[str]]:
        """The addresses of each write."""
        found = [sent.body["status"].get("loadBalancer", {}).get("ingress", []) for sent in self.requests.sent]
        return [[address["ip"] for address in addresses] for addresses in found]


async def test_no_address_is_written_before_a_proxy_has_proved_the_ingress() -> None:
    """All listeners of it, HTTPS as well as HTTP."""
    desk = Desk(web(), NODE)
    await desk.write(proved=False)
    assert desk.written == []
    assert desk.asked == [PORTS]
    await desk.write()
    assert desk.written == [["192.0.2.1"]]
    assert desk.requests.sent[0].path.endswith("/namespaces/shop/ingresses/web/status")


async def test_the_address_of_the_service_goes_before_those_of_the_nodes() -> None:
    """A load balancer was made for it."""
    desk = Desk(web(), NODE, own_service("203.0.113.7"))
    await desk.write()
    assert desk.written == [["203.0.113.7"]]


async def test_a_node_shows_its_address_for_the_outside_if_it_has_one() -> None:
    """In the order of the nodes' names, the same on every replica; one without an address is none."""
    two = node("two", InternalIP="192.0.2.2", ExternalIP="198.51.100.2")
    desk = Desk(web(), two, NODE, node("three", Hostname="three"))
    await desk.write()
    assert desk.written == [["192.0.2.1", "198.51.100.2"]]


async def test_a_large_cluster_shows_some_of_its_nodes() -> None:
    """A status is no list of a thousand machines."""
    desk = Desk(web(), *(node(f"{number:03}", InternalIP=f"192.0.2.{number}") for number in range(100)))
    await desk.write()
    assert len(desk.written[0]) == MOST_NODES


async def test_an_address_that_is_there_is_not_written_again() -> None:
    """A restart writes nothing, and what was sent waits to come back."""
    desk = Desk(web("192.0.2.1"), NODE)
    await desk.write()
    assert desk.written == []
    other = Desk(web(), NODE)
    await other.write()
    await other.write()
    assert len(other.written) == 1


async def test_an_address_stays_while_nobody_proves_it() -> None:
    """Proxies come and go, and control planes restart."""
    desk = Desk(web("192.0.2.1"), NODE, own_service())
    await desk.write(proved=False)
    assert desk.written == []


async def test_an_ingress_that_is_served_no_more_loses_its_address() -> None:
    """It went to another class, maybe while nodegate was not there: it still has a Service of ours then."""
    desk = Desk(web("192.0.2.1"), NODE, own_service())
    await desk.write({})
    assert desk.written == [[]]


async def test_an_ingress_of_another_class_is_never_written() -> None:
    """Not even to clear what somebody else wrote."""
    desk = Desk(web("203.0.113.99"), NODE)
    await desk.write({})
    assert desk.written == []
    assert desk.asked == []


async def test_a_write_that_fails_is_to_be_repeated() -> None:
    """And is then sent again."""
    desk = Desk(web(), NODE, errors=(500,))
    assert not await desk.write()
    assert await desk.write()
    assert desk.written == [["192.0.2.1"], ["192.0.2.1"]]
