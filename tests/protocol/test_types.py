"""Statements 50 to 55: TTLs, secrets, extensions, and what is only tolerated."""

from __future__ import annotations

import pytest
from envoy.service.discovery.v3 import discovery_pb2

from nodegate.server.protocol.response import WRAPPING_FEATURES
from nodegate.server.protocol.stream import StreamOptions
from tests.protocol.wire import Wire, resource

TTL = StreamOptions(ttl=10.0)
both = pytest.mark.parametrize("variant", ["delta", "sotw"])


def test_a_ttl_is_renewed_by_heartbeats_before_it_ends() -> None:
    """A heartbeat has name, version and TTL, and no content (xds-protocol 50)."""
    wire = Wire("delta", "EDS c1, EDS c2", options=TTL)
    wire.ask("EDS sub[c1,c2] NODE")
    first = wire.hears("EDS n1[c1,c2]")
    assert {one.ttl.ToTimedelta().total_seconds() for one in first.raw.resources} == {10.0}
    wire.play("<-EDS n1 | .. 4s | ..")
    wire.wait(1.0)
    beat = wire.inbox.pop()
    assert {one.name: one.version for one in beat.raw.resources} == {
        name: resource("EDS", name).version for name in ("c1", "c2")
    }
    assert not any(one.HasField("resource") for one in beat.raw.resources)
    assert {one.ttl.ToTimedelta().total_seconds() for one in beat.raw.resources} == {10.0}
    wire.wait(5.0)
    assert len(wire.inbox) == 1


def test_a_heartbeat_says_nothing_about_an_update() -> None:
    """Neither waits for the other, and the answer to one is not the answer to the other (xds-protocol 50, 49)."""
    wire = Wire("delta", "EDS c1", options=TTL)
    wire.play("<-EDS sub[c1] NODE | ->EDS n1[c1] | <-EDS n1")
    wire.wait(5.0)
    beat = wire.inbox.pop()
    wire.play("++ EDS c1@2 ; ->EDS n2[c1@2]")
    wire.acknowledge(beat)
    wire.play("++ EDS c1@3 ; .. | <-EDS n2 | ->EDS n3[c1@3]")


def test_state_of_the_world_is_wrapped_only_for_those_who_say_that_they_understand() -> None:
    """With both features; a heartbeat has the version of the response (xds-protocol 50)."""
    wire = Wire("sotw", "EDS c1", options=TTL, features=WRAPPING_FEATURES)
    wire.ask("EDS [c1] NODE")
    said = wire.hears("EDS v1 n1[c1]")
    wrapper = discovery_pb2.Resource.FromString(said.raw.resources[0].value)
    assert (wrapper.name, wrapper.ttl.seconds) == ("c1", 10)
    assert wrapper.resource.value == b"c1@1"
    wire.play("<-EDS [c1] v1 n1")
    wire.wait(5.0)
    beat = discovery_pb2.Resource.FromString(wire.inbox.pop().raw.resources[0].value)
    assert (beat.name, beat.version, beat.HasField("resource")) == ("c1", said.version, False)


def test_a_whole_set_is_renewed_as_a_whole() -> None:
    """In state of the world a response of clusters without content would delete them (xds-protocol 50, 16)."""
    wire = Wire("sotw", "CDS c1, CDS c2", options=TTL, features=WRAPPING_FEATURES)
    wire.play("<-CDS [] NODE | ->CDS v1 n1[c1,c2] | <-CDS [] v1 n1 | .. 5s | ->CDS v1 n2[c1,c2]")


@pytest.mark.parametrize("features", [(), sorted(WRAPPING_FEATURES)[:1], sorted(WRAPPING_FEATURES)[1:]])
def test_nothing_is_wrapped_unasked(features: tuple[str, ...]) -> None:
    """Envoy 1.40 advertises no features by default (xds-protocol 50)."""
    wire = Wire("sotw", "EDS c1", options=TTL, features=features)
    wire.ask("EDS [c1] NODE")
    said = wire.hears("EDS v1 n1[c1]")
    assert said.raw.resources[0].type_url == said.raw.type_url
    wire.play("<-EDS [c1] v1 n1 | .. 60s | ..")


@both
def test_without_the_option_nothing_has_a_ttl(variant: str) -> None:
    """And there are no heartbeats (xds-protocol 50)."""
    wire = Wire(variant, "CDS c1", features=WRAPPING_FEATURES)
    wire.play("<-CDS NODE | ->CDS v1 n1[c1] | <-CDS v1 n1 | .. 60s | ..")
    assert wire.stream.deadline() is None


def test_what_a_delta_client_holds_from_an_earlier_stream_is_renewed_at_once() -> None:
    """It is not sent again, and its time has been running all the while (xds-protocol 50, 37)."""
    wire = Wire("delta", "CDS c1, CDS c2@2", options=TTL)
    wire.play("<-CDS init{c1:1,c2:1} NODE | ->CDS n1[c2@2]")
    wire.ask("CDS n1")
    (beat,) = wire.inbox
    assert [one.name for one in beat.raw.resources] == ["c1", "c2"]
    assert not any(one.HasField("resource") for one in beat.raw.resources)


def test_secrets_are_asked_for_by_name() -> None:
    """There is no wildcard: an asterisk is a name that does not exist (xds-protocol 51)."""
    Wire("delta", "SDS s1").play("<-SDS sub[*] NODE ; .. | <-SDS ; .. | <-SDS sub[s1] | ->SDS n1[s1]")
    Wire("sotw", "SDS s1").play("<-SDS [*] NODE ; .. | <-SDS [] ; .. | <-SDS [s1] | ->SDS v1 n1[s1]")


@pytest.mark.parametrize("kind", ["SDS", "ECDS"])
def test_some_types_are_never_reported_as_removed(kind: str) -> None:
    """Envoy refuses it, or cuts traffic; they are sent when they exist (xds-protocol 51, 52, 29)."""
    Wire("delta", f"{kind} a").play(f"""
        <-{kind} sub[a,b] NODE | ->{kind} n1[a] | <-{kind} n1 | -- {kind} a ; .. | <-{kind} sub[a] ; ..
        ++ {kind} b ; ->{kind} n2[b] | <-{kind} n2 | ++ {kind} a@2 ; ->{kind} n3[a@2]
    """)


def test_secrets_are_not_sent_where_they_may_not_travel() -> None:
    """And the wait can be seen (xds-protocol 51)."""
    wire = Wire("delta", "SDS s1, CDS c1", options=StreamOptions(secrets=False))
    wire.play("<-SDS sub[s1] NODE ; .. | .. 60s | <-CDS | ->CDS n1[c1]")
    ((hold, _),) = wire.stream.states[resource("SDS", "s1").type_url].holds.values()
    assert "private keys" in hold.reason


@both
def test_virtual_hosts_on_demand_are_tolerated(variant: str) -> None:
    """They do not exist, which delta says and state of the world does not (xds-protocol 53, 2)."""
    if variant == "delta":
        Wire(variant, "CDS c1").play(
            "<-VHDS sub[r1/host.test] NODE | ->VHDS n1[] removed[r1/host.test] | <-CDS | ->CDS n2[c1]"
        )
    else:
        Wire(variant, "CDS c1").play("<-VHDS [r1/host.test] NODE ; .. | <-CDS [] | ->CDS v1 n1[c1]")


def test_fields_that_nobody_implements_are_tolerated() -> None:
    """Locators in a request are ignored; errors are not in a response (xds-protocol 54)."""
    wire = Wire("delta", "CDS c1")
    message = discovery_pb2.DeltaDiscoveryRequest.FromString(wire.encode("CDS sub[c1] NODE"))
    message.resource_locators_subscribe.add(name="elsewhere")
    wire.request(message.SerializeToString())
    said = wire.hears("CDS n1[c1]")
    assert (len(said.raw.resource_errors), len(said.raw.removed_resource_names)) == (0, 0)


@both
def test_a_glob_is_a_name_and_not_the_wildcard(variant: str) -> None:
    """It does not exist (xds-protocol 55)."""
    if variant == "delta":
        Wire(variant, "CDS foo/a").play("<-CDS sub[foo/*] NODE | ->CDS n1[] removed[foo/*] | <-CDS n1 ; ..")
    else:
        Wire(variant, "CDS foo/a").play("<-CDS [foo/*] NODE ; ..")


def test_a_heartbeat_is_due_when_half_of_the_ttl_is_over_and_no_answer_is() -> None:
    """Of what was sent; while the client owes an answer it is about to be heard of (xds-protocol 50)."""
    wire = Wire("delta", "EDS c1", options=TTL)
    wire.play("<-SDS sub[s1] NODE ; ..")
    assert wire.stream.deadline() is None
    wire.play("<-EDS sub[c1] | ->EDS n1[c1]")
    assert wire.stream.deadline() is None
    wire.play("<-EDS n1 ; ..")
    assert wire.stream.deadline() == wire.now + 5.0
    wire.wait(5.0)
    (beat,) = wire.inbox
    assert [one.ttl.ToNanoseconds() for one in beat.raw.resources] == [10_000_000_000]
    wire.inbox.clear()
    assert wire.stream.deadline() == wire.now + 5.0
