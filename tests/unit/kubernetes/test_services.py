"""The Service of an Ingress: its name, when it is written, and when it is left alone."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodegate.model.changes import Claimed, Delete, Upsert
from nodegate.model.generated_service import claimed_ports, service_name
from nodegate.model.objects import EndpointSlice, Ingress, Metadata, Object, Service
from nodegate.model.refs import Kind, Ref
from nodegate.ports import Claims
from nodegate.status.services import Wanted, claims_in, wanted
from nodegate.status.writer import ServiceWriter
from tests.unit.kubernetes.cluster import Requests

pytestmark = pytest.mark.looptime

PORTS = {"shop/web/http": 18_243}
WEB = Ingress(Metadata(name="web", namespace="shop", uid="u-1"))


def made(one: Wanted, uid: str = "u-9") -> Object:
    """Return an object as an API server would have made it."""
    body: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(one.body))
    body["metadata"]["uid"] = uid
    if one.ref.kind is Kind.SERVICE:
        return msgspec.convert(body, Service)
    return msgspec.convert(body, EndpointSlice)


def writer(*objects: Object, errors: tuple[int, ...] = ()) -> tuple[ServiceWriter, Requests]:
    requests = Requests(*errors)
    writer = ServiceWriter(requests)
    writer.observe([Upsert(one) for one in objects])
    return writer, requests


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
    """One annotation for all listeners (DESIGN 3.6)."""
    service = made(wanted(WEB, {"http": 18_243, "https": 12_001})[0])
    assert isinstance(service, Service)
    assert claimed_ports(service) == {"http": 18_243, "https": 12_001}


@pytest.mark.parametrize("text", ["", "http", "http=", "http=x", "gopher=70", "http=١٢", "=5,,"])
def test_what_somebody_else_wrote_there_is_no_claim(text: str) -> None:
    """And no error."""
    annotations = {"nodegate.dev/listener-ports": text}
    assert claimed_ports(Service(Metadata(name="s", annotations=annotations))) == {}


def test_claims_are_found_on_services_of_ours_alone_the_oldest_first() -> None:
    """Who claimed a port first keeps it; a Service that somebody else labelled claims nothing for another Ingress."""
    young = made(wanted(WEB, {"http": 18_243})[0])
    assert isinstance(young, Service)
    shop = Ingress(Metadata(name="shop", namespace="a", uid="u-2"))
    old = made(wanted(shop, {"http": 18_243, "https": 12_001})[0])
    stamped = msgspec.structs.replace(young.metadata, creation_timestamp=datetime(2026, 1, 1, tzinfo=UTC))
    young = msgspec.structs.replace(young, metadata=stamped)
    foreign = Service(Metadata(name="nodegate-x", annotations={"nodegate.dev/listener-ports": "http=10000"}))
    found = list(claims_in([Upsert(one) for one in (young, foreign, old)]))
    assert found == [("a/shop/http", 18_243), ("a/shop/https", 12_001), ("shop/web/http", 18_243)]


def test_a_claim_is_taken_over_unless_somebody_has_the_port() -> None:
    """And never outside the range."""
    claims = Claims()
    assert claims.adopt("a/shop/http", 18_243)
    assert not claims.adopt("shop/web/http", 18_243)
    assert not claims.adopt("shop/web/http", 80)
    assert claims.settle(["a/shop/http", "shop/web/http"], 0.0).claims[0] == Claimed("a/shop/http", 18_243)


# --- Writing -------------------------------------------------------------------------------------------------------


async def test_the_slice_is_written_before_the_service() -> None:
    """kube-proxy rejects what goes to a Service without endpoints (redirect 11)."""
    w, requests = writer(WEB)
    await w.write(PORTS, PORTS)
    assert [sent.name for sent in requests.sent] == ["endpointslices/nodegate-web", "services/nodegate-web"]
    assert all(sent.query["fieldManager"] == "nodegate" for sent in requests.sent)


async def test_what_is_as_it_has_to_be_is_not_written() -> None:
    """A restart writes nothing."""
    service, endpoint_slice = wanted(WEB, {"http": 18_243})
    w, requests = writer(WEB, made(service), made(endpoint_slice))
    await w.write(PORTS, PORTS)
    assert requests.sent == []


async def test_what_was_sent_is_not_sent_again_before_it_has_come_back() -> None:
    """The watch is later than the answer."""
    w, requests = writer(WEB)
    await w.write(PORTS, PORTS)
    w.observe([Upsert(WEB)])
    await w.write(PORTS, PORTS)
    assert len(requests.sent) == 2


async def test_what_somebody_changed_is_corrected() -> None:
    """A Service of ours is ours."""
    service, endpoint_slice = wanted(WEB, {"http": 18_243})
    found = made(service)
    assert isinstance(found, Service)
    changed = msgspec.structs.replace(found, spec=msgspec.structs.replace(found.spec, type="ClusterIP"))
    w, requests = writer(WEB, changed, made(endpoint_slice))
    await w.write(PORTS, PORTS)
    assert [sent.name for sent in requests.sent] == ["services/nodegate-web"]
    assert requests.sent[0].query["force"] == "true"


async def test_a_request_that_fails_is_repeated_later_and_later() -> None:
    """503, three times; both objects are there in the end."""
    w, requests = writer(WEB, errors=(503, 503, 503, 503))
    await w.write(PORTS, PORTS)
    assert len(requests.sent) == 6
    assert asyncio.get_running_loop().time() == 0.5 + 1.0


async def test_a_service_of_somebody_else_is_left_alone() -> None:
    """It has no label of ours and no Ingress as its owner (DESIGN 5)."""
    w, requests = writer(WEB, Service(Metadata(name="nodegate-web", namespace="shop")))
    await w.write(PORTS, PORTS)
    assert requests.sent == []


async def test_an_ingress_that_is_no_longer_ours_loses_its_service() -> None:
    """By its uid, so that one that was made anew meanwhile is never hit."""
    service, endpoint_slice = wanted(WEB, {"http": 18_243})
    w, requests = writer(WEB, made(service), made(endpoint_slice))
    await w.write({}, {})
    assert {(sent.method, sent.name) for sent in requests.sent} == {
        ("DELETE", "services/nodegate-web"),
        ("DELETE", "endpointslices/nodegate-web"),
    }
    assert requests.sent[0].body == {"preconditions": {"uid": "u-9"}}


async def test_the_service_of_a_listener_that_waits_for_a_port_stays() -> None:
    """No port is free for now; the NodePort people know must not be lost for it."""
    service, endpoint_slice = wanted(WEB, {"http": 18_243})
    w, requests = writer(WEB, made(service), made(endpoint_slice))
    await w.write({}, PORTS)
    assert requests.sent == []


async def test_the_service_of_an_ingress_that_is_gone_is_left_to_kubernetes() -> None:
    """Its owner reference ends it."""
    service, endpoint_slice = wanted(WEB, {"http": 18_243})
    w, requests = writer(WEB, made(service), made(endpoint_slice))
    w.observe([Delete(Ref(Kind.INGRESS, "shop", "web"))])
    await w.write({}, {})
    assert requests.sent == []
