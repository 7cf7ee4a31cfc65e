"""Statements 1 to 8: the stream, the node and what every response looks like."""

from __future__ import annotations

import pytest

from nodegate.server.protocol.decode import decode_request
from nodegate.server.protocol.request import ClientNode, ProtocolError, Request, Variant
from nodegate.server.protocol.stream import Stream, StreamOptions
from nodegate.snapshot.facts import NodeFacts
from nodegate.snapshot.target import Target
from tests.protocol.wire import NODE_ID, Wire

both = pytest.mark.parametrize("variant", ["delta", "sotw"])

ASK_C1 = {"delta": "EDS sub[c1]", "sotw": "EDS [c1]"}


@both
def test_the_node_of_the_first_request_counts_for_the_whole_stream(variant: str) -> None:
    """Later requests need not carry it (xds-protocol 1)."""
    wire = Wire(variant, "CDS c1, LDS l1")
    wire.play("<-CDS NODE | ->CDS n1[c1] | <-LDS | ->LDS n2[l1]")
    assert wire.stream.node is not None
    assert wire.stream.node.id == NODE_ID


@both
def test_a_first_request_without_a_node_ends_the_stream_with_a_sentence(variant: str) -> None:
    """It is the client's error and not a crash (xds-protocol 1)."""
    with pytest.raises(ProtocolError, match="has to carry the node"):
        Wire(variant, "CDS c1").play("<-CDS ''")


@both
def test_a_request_without_a_type_ends_the_stream(variant: str) -> None:
    """On the aggregated stream nobody can guess it (xds-protocol 2)."""
    with pytest.raises(ProtocolError, match="type_url"):
        Wire(variant, "CDS c1").play("<-- NODE")


def test_types_that_nobody_serves_are_bounded() -> None:
    """A client that makes up types would cost everybody else the time to look at them (xds-protocol 2)."""
    stream, node = Stream(Variant.DELTA), ClientNode("n", "", NodeFacts())
    for number in range(50):
        stream.on_request(Request(f"type-{number}", node=node))
    stream.on_request(Request("type-0", node=node))
    with pytest.raises(ProtocolError, match="may ask for 50 types"):
        stream.on_request(Request("type-50", node=node))


def test_a_type_nobody_serves_is_tolerated_in_delta() -> None:
    """Its names do not exist; the wildcard finds nothing; everything else goes on (xds-protocol 2)."""
    Wire("delta", "CDS c1").play("""
        <-XYZ sub[a,b] NODE | ->XYZ n1[] removed[a,b] | <-XYZ n1
        <-CDS '' | ->CDS n2[c1] | <-CDS n2 ; <-XYZ unsub[a]
    """)


def test_a_type_nobody_serves_is_met_with_silence_in_sotw() -> None:
    """Named or not, nothing is said about it (xds-protocol 2)."""
    Wire("sotw", "CDS c1").play("<-XYZ [a] NODE ; <-XYZ [*] ; <-XYZ [] ; .. | <-CDS [] | ->CDS v1 n1[c1]")


@both
def test_types_have_a_life_of_their_own(variant: str) -> None:
    """A refused type and one that was not answered yet do not touch the others (xds-protocol 3)."""
    Wire(variant, "CDS c1, LDS l1").play("""
        <-CDS NODE | ->CDS n1[c1] | <-LDS | ->LDS n2[l1] | <-LDS n2 error{l1 is bad}
        ++ LDS l1@2 ; ->LDS n3[l1@2] | ++ CDS c1@2 ; .. | <-CDS n1 error{c1 is bad} | ->CDS n4[c1@2]
    """)


@both
def test_nonces_are_unique_in_the_stream(variant: str) -> None:
    """And never empty, over all types (xds-protocol 4)."""
    wire = Wire(variant, "CDS c1, LDS l1")
    for line in ("CDS NODE", "LDS", "XYZ"):
        wire.ask(line)
    nonces = []
    for content in range(2, 6):
        nonces += [said.nonce for said in wire.inbox]
        for said in [wire.inbox.pop(0) for _ in tuple(wire.inbox)]:
            wire.put(f"{said.short} {min(said.carried)}@{content}")
            wire.acknowledge(said)
    assert len(nonces) == 8
    assert len(set(nonces)) == len(nonces)
    assert all(nonces)


@both
def test_a_nonce_of_an_earlier_stream_means_nothing(variant: str) -> None:
    """The first request of a type is initial whatever it carries, even an error (xds-protocol 4)."""
    wire = Wire(variant, "CDS c1, EDS c1")
    wire.play("<-CDS NODE | ->CDS n1[c1] | <-CDS n1")
    wire.redial()
    wire.play(f"<-CDS n1 v1 NODE error{{old}} | ->CDS n2[c1] | <-{ASK_C1[variant]} n1 | ->EDS n3[c1]")
    assert wire.refusals == []


@both
def test_everything_in_a_response_has_its_type(variant: str) -> None:
    """Envoy refuses a response with anything else in it (xds-protocol 5)."""
    wire = Wire(variant, "CDS c1, CDS c2, EDS c1")
    wire.ask("CDS NODE")
    said = wire.hears("CDS n1[c1,c2]")
    packed = [one.resource if variant == "delta" else one for one in said.raw.resources]
    assert {one.type_url for one in packed} == {said.raw.type_url}


@both
def test_a_name_occurs_once_also_when_it_is_asked_for_twice(variant: str) -> None:
    """By name and by the wildcard at the same time (xds-protocol 6)."""
    ask = "CDS sub[*,c1,c1]" if variant == "delta" else "CDS [*,c1,c1]"
    wire = Wire(variant, "CDS c1, CDS c2")
    wire.ask(f"{ask} NODE")
    said = wire.hears("CDS n1[c1,c2]")
    assert len(said.raw.resources) == 2


@both
def test_a_response_names_the_control_plane(variant: str) -> None:
    """Envoy shows it as ``control_plane.identifier`` (xds-protocol 7)."""
    wire = Wire(variant, "CDS c1", options=StreamOptions(identifier="replica-7"))
    wire.ask("CDS NODE")
    assert wire.inbox[0].raw.control_plane.identifier == "replica-7"


@both
def test_what_the_client_did_not_ask_for_is_not_sent(variant: str) -> None:
    """Neither another type, nor another name, nor the same content again (xds-protocol 8)."""
    answer = "EDS [c1] v1 n1" if variant == "sotw" else "EDS n1"
    Wire(variant, "CDS c1, EDS c1").play(f"""
        <-{ASK_C1[variant]} NODE | ->EDS v1 n1[c1] | <-{answer}
        ++ EDS c2, CDS c1@2, LDS l1 ; .. | ++ EDS c1@1 ; ..
    """)


@both
def test_nothing_is_said_before_there_is_a_target(variant: str) -> None:
    """Sources that were not read yet are no empty configuration (xds-protocol 47, 9)."""
    stream = Stream(Variant(variant))
    stream.on_request(decode_request(Variant(variant), Wire(variant).encode("CDS NODE")))
    assert stream.next_response(0.0) is None
    stream.on_target(Target())
    assert stream.next_response(0.0) is not None
