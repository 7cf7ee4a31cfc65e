"""Whatever happened before, the target is a function of the objects that are left (DESIGN 2.1)."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodegate.model.changes import Change, Claimed, Delete, Upsert
from nodegate.model.objects import Secret
from nodegate.snapshot.facts import NodeFacts
from nodegate.translate.certificates import check_secret
from nodegate.translate.frontends import SHARED, Frontend
from nodegate.translate.packing import serialised
from nodegate.translate.render import message_of
from nodegate.translate.route_table import route_configuration
from nodegate.translate.settings import Settings
from tests.unit.translate.histories import SETTINGS, changes, surviving
from tests.unit.translate.objects import service
from tests.unit.translate.world import World

pytestmark = pytest.mark.timeout(900)  # with the thousands of examples of the profile `full`

HISTORIES = st.lists(st.lists(changes(), max_size=4), max_size=12)


@given(HISTORIES, SETTINGS)
def test_a_history_step_by_step_equals_a_full_translation(history: list[list[Change]], chosen: Settings) -> None:
    """The same bytes, problems and wanted listeners, after any history."""
    world = World(settings=chosen)
    so_far: list[Change] = []
    for batch in history:
        world.change(*batch)
        so_far += batch
    assert_same(world, World(*surviving(so_far), settings=chosen))


@given(HISTORIES, SETTINGS, st.randoms(use_true_random=False))
def test_the_order_of_objects_does_not_matter(history: list[list[Change]], chosen: Settings, random: Random) -> None:
    """Objects that arrive in any order, in any batches, make the same bytes."""
    left = [change for change in surviving([c for batch in history for c in batch]) if not _is_bad_secret(change)]
    shuffled = list(left)
    random.shuffle(shuffled)
    one_by_one = World(settings=chosen)
    for change in shuffled:
        one_by_one.change(change)
    assert_same(one_by_one, World(*left, settings=chosen))


@given(HISTORIES)
def test_a_step_names_only_what_is_different(history: list[list[Change]]) -> None:
    """Nothing in a step's result is as it was before: who applies it has nothing to compare."""
    world = World()
    for batch in history:
        resources, problems, listeners = dict(world.resources), dict(world.problems), dict(world.listeners)
        changed = world.change(*batch)
        for key, entry in changed.resources.items():
            before = resources.get(key)
            assert (before and (before.version, before.refs)) != (entry and (entry.version, entry.refs))
        assert all(problems.get(ref, ()) != now for ref, now in changed.problems.items())
        assert all(listeners.get(name) != now for name, now in changed.listeners.items())


@given(HISTORIES, SETTINGS)
def test_every_resource_that_is_named_exists(history: list[list[Change]], chosen: Settings) -> None:
    """A listener's routes and certificates, routes' clusters and their endpoints are part of the same target."""
    world = World(*(change for batch in history for change in batch), settings=chosen)
    for entry in world.resources.values():
        for ref in entry.refs:
            assert ref in world.resources


@given(HISTORIES, SETTINGS)
def test_what_is_composed_of_bytes_is_what_protocol_buffers_write(
    history: list[list[Change]], chosen: Settings
) -> None:
    """Where only names and addresses differ the bytes around them are made once: with the same result (DESIGN 2.1)."""
    world = World(*(change for batch in history for change in batch), settings=chosen)
    for entry in world.resources.values():
        for facts in (NodeFacts(), NodeFacts(node="node-1", zone="east")):
            resource = entry.resolve(facts)
            assert resource.body == serialised(message_of(resource))


@given(HISTORIES, SETTINGS)
def test_many_hosts_are_joined_to_the_same_routes_as_few(history: list[list[Change]], chosen: Settings) -> None:
    """The table that is kept for shared listeners says what joining their hosts at once does."""
    world = World(settings=chosen)
    for batch in history:
        world.change(*batch)
    frontend = world.index.frontends.get(SHARED, Frontend(SHARED))
    for scheme, table in frontend.tables.items():
        kept, joined = table.resource(), route_configuration(table.name, scheme, frontend.built)
        assert (kept.body, kept.version, kept.refs) == (joined.body, joined.version, joined.refs)
        assert kept.causes == joined.causes


def _is_bad_secret(change: Change) -> bool:
    return isinstance(change, Upsert) and isinstance(change.object, Secret) and bool(check_secret(change.object).fault)


def assert_same(one: World, other: World) -> None:
    assert one.bytes == other.bytes
    assert {key: entry.version for key, entry in one.resources.items()} == {
        key: entry.version for key, entry in other.resources.items()
    }
    assert one.problems == other.problems
    assert one.listeners == other.listeners


def test_surviving_is_what_kubernetes_would_hold() -> None:
    """The oracle of these tests: the last word on each object and claim."""
    first, second = Claimed("a/b/http", 1), Claimed("a/b/http", 2)
    assert surviving([first, second]) == [second]
    app = service("app")
    assert surviving([Upsert(app), Delete(app.ref)]) == []
