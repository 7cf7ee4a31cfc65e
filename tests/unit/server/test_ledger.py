"""What a client holds: shared with the target where it is the same, its own where it is not."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from nodegate.server.protocol.ledger import UNKNOWN, Held, Ledger, Reported
from nodegate.snapshot.facts import NodeFacts
from nodegate.snapshot.resource import Entry, Faceted, Resource
from nodegate.snapshot.type_urls import CLUSTER
from tests.protocol.wire import resource

contents = st.dictionaries(st.sampled_from("abcd"), st.sampled_from("123"))


def mapping_of(world: dict[str, str]) -> dict[str, Entry]:
    """Return resources by name."""
    return {name: resource("CDS", name, content) for name, content in world.items()}


@given(held=contents, first=contents, second=contents, dropped=st.sets(st.sampled_from("abcd")))
def test_sharing_changes_nothing_about_what_is_held(
    held: dict[str, str], first: dict[str, str], second: dict[str, str], dropped: set[str]
) -> None:
    """Names, versions and digest are those of a plain dictionary, over any mappings (xds-protocol 25)."""
    ledger, plain = Ledger(NodeFacts()), dict[str, Held]()
    for name, entry in mapping_of(held).items():
        plain[name] = entry.resolve(NodeFacts())
        ledger.put(name, plain[name])
    for serial, world in enumerate((first, second)):
        mapping = mapping_of(world)
        ledger.share(mapping, serial, {*mapping, *ledger.base, *plain})
        for name in dropped:
            plain.pop(name, None)
            ledger.put(name, None)
        assert {name: ledger.get(name).version for name in ledger.names()} == {  # type: ignore[union-attr]
            name: one.version for name, one in plain.items()
        }
        assert ledger.digest == sum(one.digest for one in plain.values())


def test_a_ledger_in_sync_keeps_nothing_of_its_own() -> None:
    """10,000 clusters on 1,000 streams are one mapping (DESIGN 2, cost)."""
    ledger, mapping = Ledger(NodeFacts()), mapping_of({"a": "1", "b": "1"})
    for name, entry in mapping.items():
        ledger.put(name, entry.resolve(NodeFacts()))
    ledger.share(mapping, 1, mapping)
    assert ledger.own == {}
    assert ledger.base is mapping


def test_what_is_held_is_what_was_made_for_this_client() -> None:
    """A resource that depends on facts is resolved for the client's."""
    faceted = Faceted(CLUSTER, "a", "v", lambda facts: facts.zone, lambda zone: str(zone).encode())
    ledger = Ledger(NodeFacts(zone="east"))
    ledger.adopt({"a": faceted}, 1, 0)
    assert isinstance(held := ledger.get("a"), Resource)
    assert held.body == b"east"


def test_content_that_nobody_knows_adds_nothing_to_the_version() -> None:
    """A client of state of the world says that it holds a name, not in which content (xds-protocol 25)."""
    assert Reported("a", UNKNOWN).digest == 0
    assert Reported("a", resource("CDS", "a").version).digest == resource("CDS", "a").digest


def test_a_new_ledger_holds_the_empty_set() -> None:
    """Whose version is the same on every replica (xds-protocol 25)."""
    assert Ledger(NodeFacts()).digest == 0
