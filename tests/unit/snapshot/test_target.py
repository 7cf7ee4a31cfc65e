"""The target: never modified, and it knows what changed since."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from nodegate.snapshot.resource import Entry, Key
from nodegate.snapshot.target import Target
from nodegate.snapshot.type_urls import CLUSTER, ROUTE
from tests.protocol.wire import resource

worlds = st.lists(
    st.dictionaries(
        st.tuples(st.sampled_from(["CDS", "RDS"]), st.sampled_from("abc")),
        st.none() | st.tuples(st.sampled_from("12"), st.sets(st.sampled_from("abc"))),
        max_size=4,
    ),
    max_size=8,
)


def changes_of(world: dict[tuple[str, str], tuple[str, set[str]] | None]) -> dict[Key, Entry | None]:
    """Return the changes of one step. What a route names is part of its content."""
    changes: dict[Key, Entry | None] = {}
    for (kind, name), one in world.items():
        made = resource(kind, name, one[0] + "".join(sorted(one[1])), sorted(one[1])) if one else None
        changes[resource(kind, name).key] = made
    return changes


@given(worlds)
def test_a_target_is_the_sum_of_its_changes(steps: list[dict[tuple[str, str], tuple[str, set[str]] | None]]) -> None:
    """Content, counts of who names what, and what changed since any earlier one, after any history."""
    targets, plain = [Target()], dict[Key, Entry]()
    history: list[dict[Key, str]] = [{}]
    for step in steps:
        for key, entry in changes_of(step).items():
            if entry is None:
                plain.pop(key, None)
            else:
                plain[key] = entry
        targets.append(targets[-1].apply(changes_of(step)))
        history.append({key: entry.version for key, entry in plain.items()})
    last = targets[-1]
    held = {(url, name): one for url, mapping in last.types.items() for name, one in mapping.items()}
    assert {key: entry.version for key, entry in held.items()} == history[-1]
    named = [ref for entry in plain.values() for ref in entry.refs]
    assert dict(last.named) == {ref: named.count(ref) for ref in named}
    for target, content in zip(targets, history, strict=True):
        changed = last.changed_since(target.serial)
        assert changed is not None
        keys = {(url, name) for url, names in changed.items() for name in names}
        assert keys >= {key for key in content.keys() | history[-1].keys() if content.get(key) != history[-1].get(key)}


def test_equal_content_is_no_change() -> None:
    """The same target comes back, so nobody is woken (xds-protocol 8)."""
    target = Target().apply({(CLUSTER, "a"): resource("CDS", "a")})
    assert target.apply({(CLUSTER, "a"): resource("CDS", "a"), (ROUTE, "gone"): None}) is target


def test_what_did_not_change_is_shared() -> None:
    """A route change copies no cluster (DESIGN 2)."""
    target = Target().apply({(CLUSTER, "a"): resource("CDS", "a")})
    assert target.apply({(ROUTE, "r"): resource("RDS", "r")}).of_type(CLUSTER) is target.of_type(CLUSTER)


def test_a_target_of_long_ago_is_not_remembered() -> None:
    """Whoever is so far behind compares everything once (xds-protocol 49)."""
    first = target = Target()
    for content in range(5000):
        target = target.apply({(CLUSTER, "a"): resource("CDS", "a", str(content))})
    assert target.changed_since(first.serial) is None
    assert target.changed_since(target.serial - 1) == {CLUSTER: frozenset("a")}
    assert target.changed_since(target.serial + 1) is None


def test_a_mark_is_a_new_target_with_the_same_content() -> None:
    """A stored snapshot is stale until the sources have been read (xds-protocol 47)."""
    target = Target().apply({(CLUSTER, "a"): resource("CDS", "a")})
    stale = target.mark(stale=True)
    assert stale.stale
    assert stale.types is target.types
    assert stale.changed_since(target.serial) == {}
    assert stale.apply({(CLUSTER, "b"): resource("CDS", "b")}).stale
    assert stale.mark(stale=True) is stale
    assert not stale.mark(stale=False).stale
