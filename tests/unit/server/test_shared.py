"""Updates that many streams get alike: made once, and what each would have been sent by itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf.unknown_fields import UnknownFieldSet

from nodegate.server.protocol.ledger import EMPTY
from nodegate.server.protocol.request import Variant
from nodegate.server.protocol.response import Framing
from nodegate.server.protocol.shared import Reader, SharedUpdate, shared_update, update_of_one, whole_type
from nodegate.snapshot.facts import NodeFacts
from nodegate.snapshot.resource import Entry, Faceted, Key, Resource
from nodegate.snapshot.target import Target
from nodegate.snapshot.type_urls import CLUSTER, ENDPOINT, LISTENER, ROUTE
from tests.protocol.wire import resource, resources

DELTA = Framing(Variant.DELTA)
EAST, WEST = NodeFacts(zone="east"), NodeFacts(zone="west")


def put(target: Target, world: str, *more: Entry) -> Target:
    """Return the next target, with these resources in it."""
    changes: dict[Key, Entry | None] = {one.key: one for one in resources(world)}
    return target.apply(changes | {one.key: one for one in more})


def target_of(world: str, *more: Entry) -> Target:
    """Return a target with these resources in it, and no others."""
    return put(Target(), world, *more)


def zonal(name: str, type_url: str = CLUSTER) -> Faceted:
    """Return a resource that says in which zone its client is."""
    return Faceted(type_url, name, "1", lambda facts: facts.zone, lambda zone: f"{name}@{zone}".encode())


def update(
    target: Target,
    since: Target | None = None,
    *,
    reader: Reader | None = None,
    facts: NodeFacts = EAST,
) -> SharedUpdate | None:
    """Return what leads from one target, or from nothing, to another."""
    reader = reader or Reader(CLUSTER, DELTA, whole_set=False)
    base: Mapping[str, Entry] = since.of_type(reader.type_url) if since is not None else EMPTY
    return shared_update(target, reader, base, since.serial if since is not None else 0, facts)


def made(found: SharedUpdate | None) -> SharedUpdate:
    """Return an update that there is."""
    assert found is not None
    return found


def contents(found: SharedUpdate | None) -> list[bytes]:
    """Return what a delta client reads in an update."""
    message: Any = discovery_pb2.DeltaDiscoveryResponse.FromString(b"".join(made(found).parts))
    assert not UnknownFieldSet(message), "not of the API"
    return [one.resource.value for one in message.resources]


def digest(*texts: str) -> int:
    """Return what these add to the version of a set."""
    return sum(one.digest for text in texts for one in resources(text))


def test_a_large_update_is_kept_as_the_very_bytes_of_its_resources() -> None:
    """A target is kept for long: what all of it is to a new client must not be kept beside it once more."""
    large = [Resource(CLUSTER, name, bytes(600_000)) for name in ("c1", "c2")]
    small = [Resource(CLUSTER, name, bytes(600)) for name in ("c1", "c2")]
    parts = [made(update(put(Target(), "", *world))).parts for world in (large, small)]
    assert all(part is one.delta_entry for part, one in zip(parts[0], large, strict=True))
    assert parts[1] == (b"".join(one.delta_entry for one in small),)


def test_a_client_that_holds_nothing_is_sent_the_whole_type() -> None:
    """In the order of the names, with the version that the set has (xds-protocol 16, 25)."""
    target = target_of("CDS c2, CDS c1, EDS c1")
    found = made(update(target))
    assert contents(found) == [b"c1@1", b"c2@1"]
    assert list(found.sent) == ["c1", "c2"]
    assert found.digest == digest("CDS c1, CDS c2")
    assert (found.base, found.mapping, found.serial) == (EMPTY, target.of_type(CLUSTER), target.serial)


def test_a_client_in_sync_is_sent_what_changed() -> None:
    """And nothing that changed and is as it was (xds-protocol 25)."""
    first = target_of("CDS c1, CDS c2, CDS c3")
    away = put(first, "CDS c1@2, CDS c2@2, CDS c4")
    found = made(update(put(away, "CDS c1@1"), first))
    assert contents(found) == [b"c2@2", b"c4@1"]
    assert found.digest == digest("CDS c2@2, CDS c4") - digest("CDS c2")
    assert found.base is first.of_type(CLUSTER)


def test_a_change_of_another_type_is_none_of_this_one() -> None:
    """There is nothing to send (xds-protocol 3, 8)."""
    first = target_of("CDS c1, EDS c1")
    found = made(update(put(first, "EDS c1@2"), first))
    assert (found.sent, b"".join(found.parts), found.digest) == ({}, b"", 0)


def test_a_whole_set_is_sent_as_a_whole_when_any_of_it_changed() -> None:
    """Absence deletes; what changed comes first (xds-protocol 16)."""
    reader = Reader(CLUSTER, DELTA, whole_set=True)
    first = target_of("CDS c1, CDS c2, CDS c3")
    second = put(first, "CDS c2@2")
    assert contents(update(second, first, reader=reader)) == [b"c2@2", b"c1@1", b"c3@1"]
    assert list(made(update(second, first, reader=reader)).sent) == ["c2"]
    back = put(second, "CDS c2@1")
    assert contents(update(back, first, reader=reader)) == []


def test_what_goes_is_decided_by_each_stream_for_itself() -> None:
    """It waits for what names it; what came and went between two targets does not go (xds-protocol 40)."""
    first = target_of("CDS c1, CDS c3")
    came = put(first, "CDS c2, CDS c3@2")
    assert contents(update(came.apply({(CLUSTER, "c2"): None}), first)) == [b"c3@2"]
    assert update(came.apply({(CLUSTER, "c1"): None}), first) is None


def test_nothing_is_shared_with_who_is_further_behind_than_the_target_remembers() -> None:
    """What may have gone is unknown (xds-protocol 49)."""
    target = target_of("CDS c1")
    reader = Reader(CLUSTER, DELTA, whole_set=False)
    assert shared_update(target, reader, target.of_type(CLUSTER), -5, EAST) is None


def test_who_reads_the_same_gets_the_very_same_update() -> None:
    """It is made once; who reads otherwise, or holds otherwise, gets another (xds-protocol 49)."""
    first = target_of("CDS c1, LDS l1")
    second = put(first, "CDS c2")
    third = put(second, "CDS c3")
    assert update(third) is update(third, facts=WEST)
    assert update(third, first) is update(third, first)
    assert contents(update(third, first)) == [b"c2@1", b"c3@1"]
    assert contents(update(third, second)) == [b"c3@1"]
    anew = shared_update(third, Reader(CLUSTER, DELTA, whole_set=False), EMPTY, first.serial, EAST)
    assert contents(anew) == [b"c1@1", b"c2@1", b"c3@1"]
    assert contents(update(third)) == [b"c1@1", b"c2@1", b"c3@1"]
    assert contents(update(third, reader=Reader(LISTENER, DELTA, whole_set=False))) == [b"l1@1"]


def test_clients_of_two_zones_share_only_what_is_the_same_for_both() -> None:
    """Also when what differs did not change and is sent with the whole set (xds-protocol 16)."""
    first = target_of("CDS c1", zonal("z"))
    second = put(first, "CDS c1@2")
    whole = Reader(CLUSTER, DELTA, whole_set=True)
    assert contents(update(second, facts=EAST)) == [b"c1@2", b"z@east"]
    assert contents(update(second, facts=WEST)) == [b"c1@2", b"z@west"]
    assert contents(update(second, first, reader=whole, facts=EAST)) == [b"c1@2", b"z@east"]
    assert contents(update(second, first, reader=whole, facts=WEST)) == [b"c1@2", b"z@west"]
    assert update(second, first, facts=EAST) is update(second, first, facts=WEST)


def test_what_depends_on_the_zone_is_told_apart_for_each_reader() -> None:
    """One who reads nothing of the kind does not decide for the others (xds-protocol 49)."""
    first = target_of("CDS c1, LDS l1")
    second = put(first, "LDS l1@2", zonal("z"))
    assert contents(update(second, reader=Reader(LISTENER, DELTA, whole_set=False))) == [b"l1@2"]
    assert contents(update(second, second, facts=EAST)) == []
    for facts in (EAST, WEST):
        assert contents(update(second, first, facts=facts)) == [f"z@{facts.zone}".encode()]
        assert contents(update(second, facts=facts)) == [b"c1@1", f"z@{facts.zone}".encode()]


@pytest.mark.parametrize(
    ("kind", "content", "gated"), [("EDS", "1", False), ("EDS", "0", True), ("RDS", "1", True), ("CDS", "1", False)]
)
def test_what_leads_to_one_resource_is_the_same_for_all_who_hold_the_same(
    kind: str, content: str, *, gated: bool
) -> None:
    """Routes and endpoints that are none have to ask on each stream (xds-protocol 25, 40, 49)."""
    target, want, held = Target(), resource(kind, "a", content), resource(kind, "a", "7")
    found = update_of_one(target, DELTA, want, held)
    assert (found.sent, found.parts) == ({"a": want}, (want.delta_entry,))
    assert (found.digest, found.gated) == (want.digest - held.digest, gated)
    assert found.base is found.mapping is None
    assert update_of_one(target, DELTA, want, held) is found
    assert update_of_one(target, Framing(Variant.SOTW), want, held).parts == (want.sotw_entry,)
    assert update_of_one(target, DELTA, want, None).digest == want.digest
    assert update_of_one(target, DELTA, held, want).sent == {"a": held}


@pytest.mark.parametrize(
    ("kind", "content", "from_nothing", "from_something"),
    [("RDS", "1", True, True), ("EDS", "0", False, True), ("EDS", "1", False, False), ("CDS", "1", False, False)],
)
def test_routes_and_emptied_clusters_have_to_ask_on_each_stream(
    kind: str, content: str, *, from_nothing: bool, from_something: bool
) -> None:
    """Who holds nothing loses no endpoints (xds-protocol 40, 42)."""
    first = target_of(f"{kind} a@7, {kind} b@7")
    second = put(first, f"{kind} a@{content}, {kind} b@8")
    reader = Reader(resource(kind, "a").type_url, DELTA, whole_set=False)
    assert made(update(second, reader=reader)).gated is from_nothing
    assert made(update(second, first, reader=reader)).gated is from_something


def test_what_a_client_should_hold_of_a_type_depends_on_its_zone_where_that_matters() -> None:
    """Name by name, with the version of the set (xds-protocol 37)."""
    target = target_of("LDS l1", zonal("z", ROUTE), zonal("y", ENDPOINT))
    listeners = whole_type(target, LISTENER, EAST)
    assert listeners.versions == {"l1": resource("LDS", "l1").version}
    assert listeners.digest == resource("LDS", "l1").digest
    assert whole_type(target, LISTENER, WEST) is listeners
    for facts in (EAST, WEST):
        want = Resource(ROUTE, "z", f"z@{facts.zone}".encode())
        assert whole_type(target, ROUTE, facts).versions == {"z": want.version}
        assert whole_type(target, ROUTE, facts).digest == want.digest
    assert whole_type(target, ROUTE, EAST) is whole_type(target, ROUTE, EAST)
