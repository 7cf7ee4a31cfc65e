"""The address of an Ingress: when it is written, which one, and when it goes."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pytest

from nodegate.model.changes import Delete, Upsert
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
from nodegate.model.refs import Kind, Ref
from nodegate.ports import WrittenClaims
from nodegate.snapshot.resource import Key, Resource
from nodegate.snapshot.target import Target
from nodegate.snapshot.type_urls import LISTENER, REDIRECT, ROUTE
from nodegate.status.addresses import MOST_NODES, AddressWriter, Place
from nodegate.status.requests import Requests
from tests.unit.status.cluster import Api, done

pytestmark = pytest.mark.looptime

PUBLISH = ("nodegate-system", "nodegate")
OWN = ("shop/web/http", "shop/web/https")
SHARED = ("shared/http", "shared/https")
LISTENERS = [(LISTENER, "shop/web/http@18243"), (LISTENER, "shop/web/https@12001")]
ROUTES = [(ROUTE, "shop/web/http"), (ROUTE, "shop/web/https")]
REDIRECTS = [(REDIRECT, "shop/nodegate-web/80"), (REDIRECT, "shop/nodegate-web/443")]


def status(*addresses: str) -> ObjectStatus:
    return ObjectStatus(LoadBalancerStatus(tuple(LoadBalancerIngress(ip=address) for address in addresses)))


def web(*addresses: str, ours: bool = False) -> Ingress:
    return Ingress(Metadata(name="web", namespace="shop", uid="u-1"), status=status(*addresses), status_is_ours=ours)


def node(name: str, **addresses: str) -> Node:
    return Node(Metadata(name=name), NodeStatus(tuple(NodeAddress(kind, ip) for kind, ip in addresses.items())))


def own_service(*addresses: str) -> Service:
    owner = OwnerReference("Ingress", "web", "u-1")
    labels = {"app.kubernetes.io/managed-by": "nodegate"}
    metadata = Metadata(
        name="nodegate-web",
        namespace="shop",
        labels=labels,
        annotations={"nodegate.dev/ingress": "web", "nodegate.dev/listener-ports": "http=18243,https=12001"},
        owner_references=(owner,),
    )
    return Service(metadata, status=status(*addresses))


NODE = node("one", InternalIP="192.0.2.1")


def shared_service(*addresses: str) -> Service:
    metadata = Metadata(
        name="nodegate",
        namespace="nodegate-system",
        labels={"app.kubernetes.io/managed-by": "nodegate"},
        annotations={"nodegate.dev/listener-ports": "http=10001,https=10002"},
    )
    return Service(metadata, status=status(*addresses))


@dataclass
class Client:
    """A client that acknowledged some resources."""

    held: set[Key]
    is_agent: bool = False

    def holds(self, key: Key, target: Target) -> bool:
        """Return whether it did."""
        assert target.get(*key) is not None
        return key in self.held


def proxy(*keys: Key) -> Client:
    return Client(set(keys))


def agent(*keys: Key) -> Client:
    return Client(set(keys), is_agent=True)


PROVED = proxy(*LISTENERS, *ROUTES)


@dataclass
class Desk:
    """A writer, what it knows, who is connected, and what it sent."""

    objects: Sequence[Object]
    clients: list[Client] = field(default_factory=lambda: [PROVED])
    wanted: Sequence[str] = OWN
    keys: Sequence[Key] = (*LISTENERS, *ROUTES)
    sharers: Sequence[str] = ()
    errors: tuple[int, ...] = ()
    leads: bool = True
    host_ports: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.api = Api(*self.errors)
        self.claims = WrittenClaims(PUBLISH)
        self.target = Target()
        self.writer = AddressWriter(
            Requests(self.api),
            self.claims,
            Place(PUBLISH, self.host_ports),
            lambda: self.target,
            lambda: self.clients,
            lambda: self.leads,
        )
        self.claims.on_change = self.writer.look_at
        self.claims.observe(map(Upsert, self.objects))
        self.claims.settle(self.wanted, 0.0)
        self.tell(*self.objects)
        self.publish(*self.keys, causes=self.sharers)

    def publish(self, *keys: Key, causes: Sequence[str] = ()) -> None:
        """Publish resources of these names; the routes have these Ingresses as their cause."""
        refs = tuple(Ref(Kind.INGRESS, "shop", name) for name in causes)
        self.target = self.target.apply(
            {key: Resource(*key, str(refs).encode(), causes=refs if key[0] == ROUTE else ()) for key in keys}
        )

    def tell(self, *objects: Object) -> None:
        """Tell the writer what the cluster holds."""
        self.writer.observe([Upsert(one) for one in objects])

    async def written(self) -> list[list[str]]:
        """Let it look and write; return the addresses of each write so far."""
        await self.writer.look_once()
        await done(self.writer.work)
        found = [sent.body.get("status", {}).get("loadBalancer", {}).get("ingress", []) for sent in self.api.sent]
        return [[address["ip"] for address in addresses] for addresses in found]


# --- When it is written --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("missing", [*LISTENERS, *ROUTES])
async def test_no_address_is_written_before_a_proxy_has_acknowledged_all_of_the_ingress(missing: Key) -> None:
    """Listeners and routes, of HTTPS as well as HTTP (ingress.md 41)."""
    client = proxy(*{*LISTENERS, *ROUTES} - {missing})
    desk = Desk([web(), NODE, own_service()], [client])
    assert await desk.written() == []
    client.held.add(missing)
    assert await desk.written() == [["192.0.2.1"]]
    assert desk.api.sent[0].path.endswith("/namespaces/shop/ingresses/web/status")


async def test_an_ingress_whose_certificate_is_missing_has_its_address_for_what_is_served() -> None:
    """No listener of HTTPS without one, so nobody asks for its routes; an ACME challenge needs the address (37, 41)."""
    desk = Desk([web(), NODE, own_service()], [proxy(LISTENERS[0], ROUTES[0])], keys=(LISTENERS[0], *ROUTES))
    assert await desk.written() == [["192.0.2.1"]]


async def test_two_proxies_that_have_half_of_it_each_prove_nothing() -> None:
    """One node has to serve it whole."""
    desk = Desk([web(), NODE, own_service()], [proxy(*LISTENERS), proxy(*ROUTES)])
    assert await desk.written() == []


async def test_nothing_is_proved_before_the_ports_are_claimed() -> None:
    """There is no listener then (DESIGN 3.6)."""
    desk = Desk([web(), NODE], keys=())
    assert await desk.written() == []


async def test_where_there_are_agents_one_has_to_have_the_redirects() -> None:
    """An address that nobody redirects reaches nobody (DESIGN 3.3)."""
    there = agent()
    desk = Desk([web(), NODE, own_service()], [PROVED, there], keys=(*LISTENERS, *ROUTES, *REDIRECTS))
    assert await desk.written() == []
    there.held.update(REDIRECTS)
    assert await desk.written() == [["192.0.2.1"]]


async def test_an_agent_proves_it_where_no_proxy_is_connected() -> None:
    """It acknowledges nothing before its node's Envoy listens, which may be connected to another replica."""
    desk = Desk([web(), NODE, own_service()], [agent(*REDIRECTS)], keys=(*LISTENERS, *ROUTES, *REDIRECTS))
    assert await desk.written() == [["192.0.2.1"]]


async def test_an_agent_without_any_redirect_proves_nothing() -> None:
    """The Service has no frontend yet."""
    desk = Desk([web(), NODE, own_service()], [PROVED, agent()])
    assert await desk.written() == []


async def test_the_replica_that_holds_the_stream_writes_whether_it_leads_or_not() -> None:
    """An Envoy that is connected to another replica than the leader proves its Ingresses all the same (DESIGN 3.6)."""
    desk = Desk([web(), NODE, own_service()], leads=False)
    assert await desk.written() == [["192.0.2.1"]]


# --- Which one -----------------------------------------------------------------------------------------------------


async def test_the_address_of_the_service_goes_before_those_of_the_nodes() -> None:
    """A load balancer was made for it; when it changes, the Ingress follows."""
    desk = Desk([web(), NODE, own_service("203.0.113.7")])
    assert await desk.written() == [["203.0.113.7"]]
    desk.tell(web("203.0.113.7"), own_service("203.0.113.8"))
    assert await desk.written() == [["203.0.113.7"], ["203.0.113.8"]]


async def test_a_node_shows_its_address_for_the_outside_if_it_has_one() -> None:
    """In the order of the nodes' names, the same on every replica; one without an address is none."""
    two = node("two", InternalIP="192.0.2.2", ExternalIP="198.51.100.2")
    desk = Desk([web(), two, NODE, node("three", Hostname="three"), own_service()])
    assert await desk.written() == [["192.0.2.1", "198.51.100.2"]]


async def test_a_large_cluster_shows_some_of_its_nodes() -> None:
    """A status is no list of a thousand machines."""
    nodes = [node(f"{number:03}", InternalIP=f"192.0.2.{number}") for number in range(100)]
    desk = Desk([web(), own_service(), *nodes])
    assert len((await desk.written())[0]) == MOST_NODES


# --- How long it stays ---------------------------------------------------------------------------------------------


async def test_an_address_that_is_there_is_not_written_again() -> None:
    """A restart writes nothing, and what was sent waits to come back."""
    assert await Desk([web("192.0.2.1"), NODE, own_service()]).written() == []
    other = Desk([web(), NODE, own_service()])
    await other.written()
    other.tell(own_service())
    assert len(await other.written()) == 1


async def test_an_address_stays_while_nobody_proves_it() -> None:
    """Proxies come and go, and control planes restart."""
    assert await Desk([web("192.0.2.1"), NODE, own_service()], []).written() == []


async def test_an_ingress_that_is_served_no_more_loses_its_address() -> None:
    """It went to another class, maybe while nodegate was not there: what it wrote still bears its name."""
    desk = Desk([web("192.0.2.1", ours=True), NODE], wanted=())
    assert await desk.written() == [[]]
    assert "status" not in desk.api.sent[0].body  # to say nothing any more is to own nothing any more


async def test_an_address_that_somebody_takes_away_is_written_again_each_time() -> None:
    """Also when the Ingress is then as it was when it was written first."""
    desk = Desk([web(), NODE, own_service()])
    for count in (1, 2, 3):
        assert await desk.written() == [["192.0.2.1"]] * count
        desk.tell(web("192.0.2.1", ours=True))
        desk.tell(web())


async def test_who_writes_an_address_again_and_again_is_not_raced() -> None:
    """Another controller of the class, or nodegate with other settings: ten at once, then one every five seconds."""
    desk = Desk([web(), NODE, own_service()])
    await desk.written()
    working = asyncio.create_task(desk.writer.work.run())
    for number in range(300):  # one every 0.1 s
        desk.tell(web(f"203.0.113.{number % 200}"))
        await asyncio.sleep(0.1)
    assert 10 + 30 / 5 - 1 <= len(desk.api.sent) <= 10 + 30 / 5 + 1
    working.cancel()


async def test_an_address_is_cleared_by_the_replica_that_leads() -> None:
    """Also one that another replica wrote: it becomes its business when it leads."""
    desk = Desk([web("192.0.2.1", ours=True), NODE], wanted=(), leads=False)
    assert await desk.written() == []
    desk.leads = True
    desk.writer.look_at_all()
    assert await desk.written() == [[]]


async def test_an_ingress_of_another_class_is_never_written() -> None:
    """Not even to clear what somebody else wrote, be it the very address that nodegate would (ingress.md 20)."""
    assert await Desk([web("192.0.2.1"), NODE, own_service()], wanted=()).written() == []


async def test_a_write_that_fails_is_repeated() -> None:
    """Until it is there."""
    desk = Desk([web(), NODE, own_service()], errors=(500,))
    assert await desk.written() == [["192.0.2.1"], ["192.0.2.1"]]


async def test_an_ingress_that_is_gone_is_not_written() -> None:
    """It may go while its address is about to be written."""
    desk = Desk([web(), NODE, own_service()])
    await desk.writer.look_once()
    desk.writer.observe([Delete(web().ref)])
    assert await desk.written() == []


# --- Shared listeners ----------------------------------------------------------------------------------------------

SHARED_KEYS = [
    (LISTENER, "shared/http@10001"),
    (LISTENER, "shared/https@10002"),
    (ROUTE, "shared/http"),
    (ROUTE, "shared/https"),
]


async def test_an_ingress_on_shared_listeners_gets_the_address_of_their_service() -> None:
    """Each that their routes serve, once a proxy has acknowledged the routes with it (DESIGN 5)."""
    client = proxy()
    desk = Desk([web(), shared_service("203.0.113.7")], [client], SHARED, SHARED_KEYS, sharers=["web"])
    assert await desk.written() == []
    client.held.update(SHARED_KEYS)
    assert await desk.written() == [["203.0.113.7"]]
    assert desk.writer.served == {("shop", "web"): "shared"}


async def test_an_ingress_that_leaves_the_shared_listeners_loses_its_address() -> None:
    """Also one that another process of ours wrote."""
    there = web("203.0.113.7", ours=True)
    desk = Desk([there, shared_service("203.0.113.7")], [proxy(*SHARED_KEYS)], SHARED, SHARED_KEYS, sharers=["web"])
    assert await desk.written() == []
    desk.publish(*SHARED_KEYS)
    assert await desk.written() == [[]]


async def test_on_the_nodes_own_ports_an_ingress_has_the_addresses_of_the_nodes() -> None:
    """``--expose host``: no Service is needed."""
    keys = [(LISTENER, "shared/http@80"), (LISTENER, "shared/https@443"), *SHARED_KEYS[2:]]
    ports = {"http": 80, "https": 443}
    desk = Desk([web(), NODE], [proxy(*keys)], (), keys, sharers=["web"], host_ports=ports)
    assert await desk.written() == [["192.0.2.1"]]
