"""One resource: its bytes in a response, its version, and how it varies with a client's facts."""

from __future__ import annotations

from envoy.service.discovery.v3 import discovery_pb2
from hypothesis import given
from hypothesis import strategies as st

from nodegate.snapshot.facts import NodeFacts
from nodegate.snapshot.resource import Faceted, Resource, field_bytes, set_version
from nodegate.snapshot.type_urls import CLUSTER, SECRET

texts = st.text(max_size=300)


@given(name=texts, body=st.binary(max_size=70_000))
def test_entries_are_what_protocol_buffers_reads(name: str, body: bytes) -> None:
    """Of any length: joined, they are a response (xds-protocol 39, finding 10)."""
    one = Resource(CLUSTER, name, body)
    delta = discovery_pb2.DeltaDiscoveryResponse.FromString(one.delta_entry + one.delta_entry).resources[1]
    assert (delta.name, delta.version, delta.resource.type_url) == (name, one.version, CLUSTER)
    assert delta.resource.value == body
    (sotw,) = discovery_pb2.DiscoveryResponse.FromString(one.sotw_entry).resources
    assert (sotw.type_url, sotw.value) == (CLUSTER, body)


@given(st.lists(st.tuples(texts, texts), unique_by=lambda pair: pair[0], max_size=6), st.randoms())
def test_the_version_of_a_set_does_not_depend_on_its_order(pairs: list[tuple[str, str]], random: object) -> None:
    """Replicas that learned of it in another order agree (xds-protocol 25)."""
    digests = [Resource(CLUSTER, name, body.encode()).digest for name, body in pairs]
    shuffled = digests.copy()
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert set_version(sum(digests)) == set_version(sum(shuffled))
    assert len(set_version(sum(digests))) == 32


def test_the_version_of_a_set_depends_on_names_and_contents() -> None:
    """Exchanged contents are another set (xds-protocol 25)."""
    one = Resource(CLUSTER, "a", b"1").digest + Resource(CLUSTER, "b", b"2").digest
    other = Resource(CLUSTER, "a", b"2").digest + Resource(CLUSTER, "b", b"1").digest
    assert set_version(one) != set_version(other)


def test_equal_facets_are_the_same_object() -> None:
    """Each distinct facet is made once (DESIGN 2.2)."""
    made: list[object] = []

    def make(facet: object) -> bytes:
        made.append(facet)
        return str(facet).encode()

    faceted = Faceted(CLUSTER, "a", "v", lambda facts: facts.zone, make)
    east, again, west = (faceted.resolve(NodeFacts(node=node, zone=zone)) for node, zone in ("ae", "be", "cw"))
    assert east is again
    assert (east.body, west.body) == (b"e", b"w")
    assert made == ["e", "w"]


def test_content_is_never_shown() -> None:
    """It may be a private key (DESIGN 3.8)."""
    secret = Resource(SECRET, "s", b"PRIVATE KEY")
    faceted = Faceted(SECRET, "s", "0123456789", lambda facts: facts.zone, lambda _: b"PRIVATE KEY")
    faceted.resolve(NodeFacts())
    assert "PRIVATE" not in repr(secret) + repr(faceted)


def test_a_field_is_tag_length_and_content() -> None:
    """As Protocol Buffers writes it, also over 127 bytes."""
    assert field_bytes(1, b"ab") == b"\x0a\x02ab"
    assert field_bytes(16, b"") == b"\x82\x01\x00"
    assert field_bytes(2, b"x" * 300)[:3] == b"\x12\xac\x02"
