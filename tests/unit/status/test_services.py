"""The Service of an Ingress: its name, when it is written, and when it is left alone."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodegate.model.changes import Delete, Upsert
from nodegate.model.generated_service import claimed_ports, refused_ports, service_name
from nodegate.model.objects import EndpointSlice, Ingress, Metadata, Object, Service
from nodegate.model.refs import Kind, Ref
from nodegate.ports import WrittenClaims
from nodegate.status.requests import Requests
from nodegate.status.services import Ports, Wanted, ipv6_slice, of_ingress, of_shared_listeners
from nodegate.status.writer import ServiceWriter
from tests.unit.status.cluster import Api, done

pytestmark = pytest.mark.looptime

PUBLISH = ("nodegate-system", "nodegate")
HTTP, HTTPS = "shop/web/http", "shop/web/https"
WEB = Ingress(Metadata(name="web", namespace="shop", uid="u-1"))
SERVICE, SLICE = of_ingress(WEB, Ports({"http": 18_243}))


def made(one: Wanted, uid: str = "u-9") -> Object:
    """Return an object as an API server would have made it."""
    body: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(one.body))
    body["metadata"]["uid"] = uid
    if one.ref.kind is Kind.SERVICE:
        return msgspec.convert(body, Service)
    return msgspec.convert(body, EndpointSlice)


class Desk:
    """A writer, the claims it writes, and what it sent."""

    def __init__(self, *objects: Object, wanted: Sequence[str] = (HTTP,), errors: tuple[int, ...] = ()) -> None:
        self.api = Api(*errors)
        self.leads = True
        self.claims = WrittenClaims(PUBLISH)
        self.writer = ServiceWriter(Requests(self.api), self.claims, PUBLISH, lambda: self.leads)
        self.claims.on_change = self.writer.look_at
        self.claims.observe(Upsert(one) for one in objects)
        self.claims.settle(wanted, 0.0)
        self.writer.observe(Upsert(one) for one in objects)

    async def tell(self, *changes: Upsert | Delete) -> None:
        """Let the writer and the claims hear of changes, and write what follows."""
        self.claims.observe(changes)
        self.claims.change({}, 0.0)
        self.writer.observe(changes)
        await done(self.writer.work)

    async def want(self, **listeners: object | None) -> None:
        """Let listeners be wanted, or no more (None)."""
        self.claims.change(listeners, 0.0)
        await done(self.writer.work)

    async def sent(self) -> list[str]:
        """Write what there is to write; return what was sent, in order."""
        await done(self.writer.work)
        return [f"{one.method} {one.name}" for one in self.api.sent]


# --- Names ---------------------------------------------------------------------------------------------------------


def test_the_service_is_named_after_its_ingress() -> None:
    """DESIGN 5."""
    assert service_name("basic-ingress") == "nodegate-basic-ingress"


@given(st.from_regex(r"\A[a-z0-9]([a-z0-9.-]{0,250}[a-z0-9])?\Z"))
def test_every_name_of_an_ingress_gives_a_legal_name_of_a_service(name: str) -> None:
    """At most 63 lower-case letters, digits and '-', ending with no '-' (DESIGN 5)."""
    assert re.fullmatch(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?", service_name(name))


@given(st.lists(st.from_regex(r"\A[a-z0-9]([a-z0-9.-]{0,70}[a-z0-9])?\Z"), unique=True, min_size=2, max_size=2))
def test_two_ingresses_never_share_a_service(names: list[str]) -> None:
    """What had to be changed carries a hash of the whole name."""
    assert service_name(names[0]) != service_name(names[1])


def test_a_name_that_differs_in_a_dot_only_is_told_apart() -> None:
    """``a.b`` is no DNS label, ``a-b`` is."""
    assert service_name("a.b") != service_name("a-b") == "nodegate-a-b"


# --- Content -------------------------------------------------------------------------------------------------------


def test_the_claimed_ports_are_written_on_the_service_and_can_be_read_back() -> None:
    """One annotation for all listeners, another for the ports they must not have (DESIGN 3.6)."""
    service = made(of_ingress(WEB, Ports({"http": 18_243, "https": 12_001}, [("http", 18_000), ("http", 18_001)]))[0])
    assert isinstance(service, Service)
    assert claimed_ports(service) == {"http": 18_243, "https": 12_001}
    assert refused_ports(service) == (("http", 18_000), ("http", 18_001))


@pytest.mark.parametrize("text", ["", "http", "http=", "http=x", "gopher=70", "http=١٢", "=5,,"])
def test_what_somebody_else_wrote_there_is_no_claim(text: str) -> None:
    """And no error."""
    annotations = {"nodegate.dev/listener-ports": text}
    assert claimed_ports(Service(Metadata(name="s", annotations=annotations))) == {}


# --- Writing -------------------------------------------------------------------------------------------------------


async def test_the_slice_is_written_before_the_service() -> None:
    """kube-proxy rejects what goes to a Service without endpoints (redirect 11)."""
    desk = Desk(WEB)
    assert await desk.sent() == ["PATCH endpointslices/nodegate-web", "PATCH services/nodegate-web"]
    assert all(sent.query["fieldManager"] == "nodegate" for sent in desk.api.sent)


async def test_what_is_as_it_has_to_be_is_not_written() -> None:
    """A restart writes nothing."""
    assert await Desk(WEB, made(SERVICE), made(SLICE)).sent() == []


async def test_what_was_sent_is_not_sent_again_before_it_has_come_back() -> None:
    """The watch is later than the answer."""
    desk = Desk(WEB)
    await desk.sent()
    await desk.tell(Upsert(WEB))
    assert len(await desk.sent()) == 2


async def test_what_somebody_changed_is_corrected_each_time() -> None:
    """A Service of ours is ours; the same change may be made twice."""
    found = made(SERVICE)
    assert isinstance(found, Service)
    changed = msgspec.structs.replace(found, spec=msgspec.structs.replace(found.spec, type="ClusterIP"))
    desk = Desk(WEB, changed, made(SLICE))
    assert await desk.sent() == ["PATCH services/nodegate-web"]
    assert desk.api.sent[0].query["force"] == "true"
    for count in (2, 3):
        await desk.tell(Upsert(found))
        await desk.tell(Upsert(changed))
        assert await desk.sent() == ["PATCH services/nodegate-web"] * count


async def test_who_changes_a_service_again_and_again_is_not_raced() -> None:
    """Another controller, or nodegate with other settings: ten corrections at once, then one every five seconds."""
    found = made(SERVICE)
    assert isinstance(found, Service)
    desk = Desk(WEB, found, made(SLICE))
    working = asyncio.create_task(desk.writer.work.run())
    for number in range(300):  # a change every 0.1 s
        changed = msgspec.structs.replace(found, spec=msgspec.structs.replace(found.spec, type=f"Made{number}"))
        desk.writer.observe([Upsert(changed)])
        await asyncio.sleep(0.1)
    assert 10 + 30 / 5 - 1 <= len(desk.api.sent) <= 10 + 30 / 5 + 1
    working.cancel()


async def test_a_request_that_fails_is_repeated_later_and_later() -> None:
    """503, three times; both objects are there in the end."""
    desk = Desk(WEB, errors=(503, 503, 503))
    await desk.sent()
    assert asyncio.get_running_loop().time() == pytest.approx(0.5 + 1.0, abs=0.1)
    assert {one.name for one in desk.api.sent[3:]} == {"endpointslices/nodegate-web", "services/nodegate-web"}


async def test_a_service_of_somebody_else_is_left_alone_and_is_a_problem_of_the_ingress() -> None:
    """It has no label of ours and no Ingress as its owner (DESIGN 5); when it is gone, ours is written."""
    foreign = Service(Metadata(name="nodegate-web", namespace="shop"))
    desk = Desk(WEB, foreign)
    assert await desk.sent() == []
    (problem,) = desk.writer.problems[WEB.ref]
    assert problem.code == "ServiceNameTaken"
    assert "Service shop/nodegate-web exists" in problem.message
    await desk.tell(Delete(foreign.ref))
    assert desk.writer.problems == {}
    assert len(await desk.sent()) == 2


async def test_an_ingress_that_is_no_longer_ours_loses_its_service() -> None:
    """By its uid, so that one that was made anew meanwhile is never hit."""
    desk = Desk(WEB, made(SERVICE), made(SLICE), wanted=())
    assert set(await desk.sent()) == {"DELETE services/nodegate-web", "DELETE endpointslices/nodegate-web"}
    assert desk.api.sent[0].body == {"preconditions": {"uid": "u-9"}}


async def test_the_service_of_a_listener_that_waits_for_a_port_stays() -> None:
    """No port is free for now; the NodePort people know must not be lost for it."""
    desk = Desk(WEB, made(SERVICE), made(SLICE), wanted=())
    desk.claims.range = type(desk.claims.range)(1, 0)
    await desk.want(**{HTTP: 80})
    assert await desk.sent() == []


async def test_the_service_of_an_ingress_that_is_gone_is_left_to_kubernetes() -> None:
    """Its owner reference ends it."""
    desk = Desk(WEB, made(SERVICE), made(SLICE))
    await desk.sent()
    await desk.tell(Delete(WEB.ref))
    await desk.want(**{HTTP: None})
    assert await desk.sent() == []


# --- IPv6 -----------------------------------------------------------------------------------------------------------

DUAL_STACK, ONLY_IPV6 = ("10.96.0.7", "fd00:96::7"), ("fd00:96::7",)


def with_addresses(one: Wanted, addresses: tuple[str, ...]) -> Service:
    """Return a Service as an API server would have made it, with these cluster IPs."""
    service = made(one)
    assert isinstance(service, Service)
    return msgspec.structs.replace(service, spec=msgspec.structs.replace(service.spec, cluster_ips=addresses))


@pytest.mark.parametrize("addresses", [DUAL_STACK, ONLY_IPV6], ids=["dual stack", "IPv6 only"])
async def test_a_service_with_an_ipv6_address_has_an_endpoint_in_that_family_too(addresses: tuple[str, ...]) -> None:
    """kube-proxy rejects in each family by itself (redirect 11); written once, and never for a new Service."""
    desk = Desk(WEB, made(SLICE))
    assert await desk.sent() == ["PATCH services/nodegate-web"]
    await desk.tell(Upsert(with_addresses(SERVICE, addresses)))
    assert await desk.sent() == ["PATCH services/nodegate-web", "PATCH endpointslices/nodegate-web.ipv6"]
    body = desk.api.sent[1].body
    assert (body["addressType"], body["endpoints"][0]["addresses"]) == ("IPv6", ["100::1"])
    assert body["metadata"]["labels"]["kubernetes.io/service-name"] == "nodegate-web"
    assert body["metadata"]["ownerReferences"][0]["uid"] == "u-1"
    await desk.tell(Upsert(msgspec.convert({**body, "metadata": {**body["metadata"], "uid": "u-8"}}, EndpointSlice)))
    assert len(await desk.sent()) == 2


async def test_a_slice_for_ipv6_that_somebody_deletes_or_changes_is_written_again() -> None:
    """It is heard of like the other one."""
    service = with_addresses(SERVICE, DUAL_STACK)
    (six,) = ipv6_slice(SLICE, service)
    desk = Desk(WEB, service, made(SLICE), made(six))
    assert await desk.sent() == []
    await desk.tell(Delete(six.ref))
    assert await desk.sent() == ["PATCH endpointslices/nodegate-web.ipv6"]


async def test_a_service_that_has_no_ipv6_address_any_more_loses_its_endpoint_there() -> None:
    """Somebody reduced it to one family; while the Service itself is gone, nothing says so, and the slice stays."""
    (six,) = ipv6_slice(SLICE, with_addresses(SERVICE, DUAL_STACK))
    desk = Desk(WEB, with_addresses(SERVICE, DUAL_STACK), made(SLICE), made(six))
    assert await desk.sent() == []
    await desk.tell(Delete(SERVICE.ref))
    assert await desk.sent() == ["PATCH services/nodegate-web"]
    await desk.tell(Upsert(with_addresses(SERVICE, DUAL_STACK[:1])))
    assert await desk.sent() == ["PATCH services/nodegate-web", "DELETE endpointslices/nodegate-web.ipv6"]
    await desk.tell(Delete(six.ref))
    assert len(await desk.sent()) == 2


async def test_the_slice_for_ipv6_goes_with_its_service() -> None:
    """Of an Ingress that is no longer ours, and of shared listeners."""
    service = with_addresses(SERVICE, DUAL_STACK)
    desk = Desk(WEB, service, made(SLICE), *map(made, ipv6_slice(SLICE, service)), wanted=())
    assert "DELETE endpointslices/nodegate-web.ipv6" in await desk.sent()

    entrance, first = of_shared_listeners(PUBLISH, Ports({"http": 18_243, "https": 12_001}))
    service = with_addresses(entrance, DUAL_STACK)
    shared = Desk(service, made(first), *map(made, ipv6_slice(first, service)), wanted=SHARED)
    assert await shared.sent() == []
    await shared.want(**dict.fromkeys(SHARED))
    assert "DELETE endpointslices/nodegate.ipv6" in await shared.sent()


# --- Who writes ----------------------------------------------------------------------------------------------------


async def test_a_replica_that_does_not_lead_writes_nothing_until_it_does() -> None:
    """What follows from objects alone is written by one (DESIGN 3.6)."""
    desk = Desk(WEB)
    desk.leads = False
    assert await desk.sent() == []
    desk.leads = True
    desk.writer.look_at_all()
    assert len(await desk.sent()) == 2


async def test_a_refused_port_is_moved_by_the_replica_that_sees_it() -> None:
    """Whether it leads or not; the refused port is written, too, so that nobody chooses it again."""
    desk = Desk(WEB, made(SERVICE), made(SLICE))
    desk.leads = False
    desk.claims.refuse(HTTP, 18_243, "node-1", 0.0)
    assert await desk.sent() == ["PATCH services/nodegate-web"]
    annotations = desk.api.sent[0].body["metadata"]["annotations"]
    assert annotations["nodegate.dev/refused-ports"] == "http=18243"
    assert annotations["nodegate.dev/listener-ports"] == f"http={desk.claims.to_write(HTTP)}" != "http=18243"


# --- Shared listeners ----------------------------------------------------------------------------------------------

SHARED = ("shared/http", "shared/https")


async def test_shared_listeners_have_one_service_together() -> None:
    """Of type LoadBalancer, without selector and without owner, with the claims of both (DESIGN 5)."""
    desk = Desk(wanted=SHARED)
    assert await desk.sent() == ["PATCH endpointslices/nodegate", "PATCH services/nodegate"]
    body = desk.api.sent[1].body
    assert body["metadata"]["namespace"] == "nodegate-system"
    assert "ownerReferences" not in body["metadata"]
    assert body["spec"]["type"] == "LoadBalancer"
    assert [port["port"] for port in body["spec"]["ports"]] == [80, 443]
    assert re.fullmatch(r"http=1\d{4},https=1\d{4}", body["metadata"]["annotations"]["nodegate.dev/listener-ports"])


async def test_the_service_of_shared_listeners_goes_with_them() -> None:
    """No Ingress owns it, so nobody else ends it."""
    pair = of_shared_listeners(PUBLISH, Ports({"http": 18_243, "https": 12_001}))
    desk = Desk(*map(made, pair), wanted=SHARED)
    assert await desk.sent() == []
    await desk.want(**dict.fromkeys(SHARED))
    assert set(await desk.sent()) == {"DELETE services/nodegate", "DELETE endpointslices/nodegate"}


async def test_a_published_service_that_somebody_else_made_is_a_problem() -> None:
    """It is never taken over, and never deleted."""
    foreign = Service(Metadata(name="nodegate", namespace="nodegate-system"))
    desk = Desk(foreign, wanted=SHARED)
    assert await desk.sent() == []
    assert desk.writer.problems.keys() == {Ref(Kind.SERVICE, *PUBLISH)}
    await desk.want(**dict.fromkeys(SHARED))
    assert await desk.sent() == []
