"""The engine's event loop, in virtual time."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from nodegate.engine.loop import RETRY_SECONDS
from nodegate.model.changes import Batch, Change, Claimed, Delete, Upsert
from nodegate.model.objects import Ingress
from nodegate.model.problem import Problem
from nodegate.model.refs import Kind, Ref
from nodegate.ports import REST_SECONDS, Claims, PortRange, PortStore
from nodegate.snapshot.target import Target
from nodegate.snapshot.type_urls import CLUSTER, ENDPOINT, LISTENER, ROUTE
from tests.unit.engine.world import World, endpoints, ingress, objects_only, service, shop, world

pytestmark = pytest.mark.looptime


def now() -> float:
    return asyncio.get_running_loop().time()


def published(made: World) -> Target:
    assert made.publisher.target is not None
    return made.publisher.target


def names(made: World, type_url: str) -> list[str]:
    return sorted(published(made).of_type(type_url))


async def test_nothing_is_published_before_the_first_listing_is_complete() -> None:
    """A stream that saw half a listing would take away what the proxies have (xds-protocol 47)."""
    async with world() as w:
        await w.say(*shop("a", "10.1.0.1"), synced=False)
        await asyncio.sleep(60)
        assert w.publisher.target is None
        assert not w.state.synced

        await w.say(*shop("b", "10.1.0.2"))
        await w.settled()
        assert names(w, CLUSTER) == ["shop/a/80", "shop/b/80"]


async def test_the_first_listing_is_published_at_once_even_when_it_is_empty() -> None:
    """An empty folder is an answer: proxies wait for it (xds-protocol 9)."""
    async with world() as w:
        await w.first_listing()
        assert w.publisher.target is not None
        assert now() == 0


async def test_what_an_earlier_run_kept_is_served_until_the_listing_is_complete() -> None:
    """Marked stale, so that no proxy loses anything; what is listed meanwhile waits (xds-protocol 47)."""
    async with world() as w:
        await w.say(*shop("a", "10.1.0.1"), *shop("b", "10.1.0.2"), synced=False, stale=True)
        await w.engine.until(lambda state: state.stale)
        assert published(w).stale
        assert names(w, CLUSTER) == ["shop/a/80", "shop/b/80"]
        assert not w.state.synced
        kept = published(w).get(ROUTE, "shop/a/http")

        await w.say(Delete(service("b").ref), synced=False)
        await asyncio.sleep(60)
        assert names(w, CLUSTER) == ["shop/a/80", "shop/b/80"]

        await w.say(Delete(ingress("b", "b").ref), Delete(endpoints("b").ref))
        await w.settled()
        assert not published(w).stale
        assert not w.state.stale
        assert names(w, CLUSTER) == ["shop/a/80"]
        assert published(w).get(ROUTE, "shop/a/http") is kept


async def test_changes_are_gathered_until_50_ms_pass_without_one() -> None:
    """The hold-off is 50 ms (DESIGN 3.1)."""
    async with world() as w:
        await w.first_listing()
        await w.say(Upsert(service("a")))
        await asyncio.sleep(0.040)
        await w.say(Upsert(ingress("a", "a")))
        assert names(w, ROUTE) == []
        await w.settled()
        assert now() == pytest.approx(0.090)
        assert names(w, ROUTE) == ["shop/a/http"]
        assert w.state.sequence == 3


async def test_changes_that_never_pause_are_published_every_500_ms() -> None:
    """The hold-off lasts at most 500 ms (DESIGN 3.1)."""
    async with world() as w:
        await w.first_listing()
        w.publications.clear()
        for number in range(100):
            await w.say(Upsert(ingress(f"i{number}", "a")))
            await asyncio.sleep(0.020)
        assert len(w.publications) == 4
        assert w.publications == pytest.approx([0.0, 0.5, 1.0, 1.5], abs=0.045)


async def test_a_new_ingress_does_not_wait_where_nothing_else_happens() -> None:
    """Nor does the next one half a second later; one that comes sooner is the first of a batch (decision 0019)."""
    async with world() as w:
        await w.first_listing(Upsert(service("a")))
        w.publications.clear()
        for number, pause in enumerate((0.500, 0.400, 0.0)):
            await w.say(Upsert(ingress(f"i{number}", "a")))
            await asyncio.sleep(pause)
        await w.settled()
        assert w.publications == pytest.approx([0.0, 0.500, 0.900 + 0.050])


@pytest.mark.parametrize("change", [Upsert(ingress("a", "b")), Delete(ingress("a", "a").ref)])
async def test_a_change_of_what_is_served_waits_for_the_hold_off_after_any_rest(change: Change) -> None:
    """It may be half of a change, unlike a new Ingress (DESIGN 3.1)."""
    async with world() as w:
        await w.first_listing(*shop("a", "10.1.0.1"), *shop("b", "10.1.0.2"))
        w.publications.clear()
        await asyncio.sleep(60)
        await w.say(change)
        await w.settled()
        assert w.publications == pytest.approx([60.050])


async def test_an_ingress_that_replaces_another_waits_with_its_removal() -> None:
    """Deleted and made anew under another name: no proxy sees the time in between."""
    async with world() as w:
        await w.first_listing(*shop("a", "10.1.0.1"))
        w.publications.clear()
        await w.say(Delete(ingress("a", "a").ref))
        await asyncio.sleep(0.020)
        await w.say(Upsert(ingress("new", "a")))
        await w.settled()
        assert w.publications == pytest.approx([0.070])


async def test_new_endpoints_do_not_wait_for_the_hold_off() -> None:
    """An EndpointSlice change is published at once, also while other changes are held back (DESIGN 3.1)."""
    async with world() as w:
        await w.first_listing(*shop("a", "10.1.0.1"))
        await w.say(Upsert(service("b")), Upsert(ingress("b", "a")))
        await w.say(Upsert(endpoints("a", "10.1.0.1", "10.1.0.2")))
        assert now() == 0
        assert w.addresses("shop/a/80") == ["10.1.0.1", "10.1.0.2"]
        assert names(w, ROUTE) == ["shop/a/http"]
        await w.settled()
        assert names(w, ROUTE) == ["shop/a/http", "shop/b/http"]


async def test_the_last_endpoint_goes_with_the_next_batch() -> None:
    """The end of an old Service does not overtake the route that leaves it (DESIGN 3.1)."""
    async with world() as w:
        await w.first_listing(*shop("a", "10.1.0.1"), Upsert(service("b")), Upsert(endpoints("b", "10.1.0.9")))
        await w.say(Upsert(endpoints("a")))
        assert w.addresses("shop/a/80") == ["10.1.0.1"]
        assert w.state.held == 1
        await asyncio.sleep(0.030)

        await w.say(Upsert(ingress("a", "b")))
        serial = w.state.target.serial
        await w.settled()
        assert now() == pytest.approx(0.080)
        assert w.state.target.serial == serial + 1
        assert names(w, CLUSTER) == names(w, ENDPOINT) == ["shop/b/80"]


async def test_emptying_a_cluster_that_routes_name_waits_for_the_limit_of_the_hold_off() -> None:
    """It may be half of a rename, whose other half comes late; holding back is not for good (decision 0006)."""
    async with world() as w:
        await w.first_listing(*shop("a", "10.1.0.1"))
        await w.say(Upsert(endpoints("a")))
        await w.settled()
        assert now() == pytest.approx(0.500)
        assert w.addresses("shop/a/80") == []


async def test_a_rename_whose_halves_come_apart_never_leaves_a_route_without_endpoints() -> None:
    """The old Service goes 300 ms before the Ingress names the new one; both are published, in one go, then."""
    async with world() as w:
        await w.first_listing(*shop("a", "10.1.0.1"), Upsert(service("b")), Upsert(endpoints("b", "10.1.0.9")))
        await w.say(Delete(service("a").ref), Delete(endpoints("a").ref))
        await asyncio.sleep(0.300)
        assert w.addresses("shop/a/80") == ["10.1.0.1"]
        await w.say(Upsert(ingress("a", "b")))
        await w.settled()
        assert now() == pytest.approx(0.350)
        assert names(w, CLUSTER) == names(w, ENDPOINT) == ["shop/b/80"]


async def test_an_endpoint_that_comes_back_in_time_was_never_away() -> None:
    """What was held back is forgotten when a newer state adds endpoints."""
    async with world() as w:
        await w.first_listing(*shop("a", "10.1.0.1"))
        w.publications.clear()
        await w.say(Upsert(endpoints("a")))
        await w.say(Upsert(endpoints("a", "10.1.0.2")))
        assert w.addresses("shop/a/80") == ["10.1.0.2"]
        await asyncio.sleep(1)
        assert w.addresses("shop/a/80") == ["10.1.0.2"]
        assert len(w.publications) == 1


async def test_a_slice_in_a_batch_of_other_changes_waits_with_them() -> None:
    """A batch is applied as one change, and a later state of the slice wins over the one that waits."""
    async with world() as w:
        await w.first_listing(*shop("a", "10.1.0.1"))
        await w.say(Upsert(service("b")), Upsert(endpoints("a", "10.1.0.2")))
        assert w.addresses("shop/a/80") == ["10.1.0.1"]
        await w.say(Upsert(endpoints("a", "10.1.0.3")))
        assert w.addresses("shop/a/80") == ["10.1.0.3"]
        await w.settled()
        assert w.addresses("shop/a/80") == ["10.1.0.3"]


async def test_every_listener_has_the_port_it_has_claimed() -> None:
    """A listener's name holds its port (DESIGN 3.5), and the port is that of its claim."""
    async with world() as w:
        await w.first_listing(*shop("a", "10.1.0.1"), *shop("b", "10.1.0.2"))
        ports = w.state.ports
        assert sorted(ports) == ["shop/a/http", "shop/b/http"]
        assert names(w, LISTENER) == sorted(f"{name}@{port}" for name, port in ports.items())


async def test_a_port_is_on_disk_before_its_listener_is_published(tmp_path: Path) -> None:
    """A crash after publishing would otherwise give the listener another port at the next start (DESIGN 3.6)."""
    store = PortStore(tmp_path)
    async with world(store=store) as w:
        with w.publisher.watch() as published:
            await w._batches.put(Batch(objects_only(shop("a", "10.1.0.1"))))
            await published.wait()
            assert store.load().ports == {"shop/a/http": w.state.ports["shop/a/http"]}


async def test_claims_that_cannot_be_written_are_served_and_tried_again(tmp_path: Path) -> None:
    """A full disk must not stop an Ingress; the file is written as soon as it can be."""
    (tmp_path / "state").write_text("a file where the folder should be")
    store = PortStore(tmp_path / "state")
    async with world(store=store) as w:
        await w.first_listing(*shop("a", "10.1.0.1"))
        assert len(names(w, LISTENER)) == 1
        (tmp_path / "state").unlink()
        await asyncio.sleep(RETRY_SECONDS + 1)
        assert store.load().ports == w.state.ports


async def test_a_kept_port_is_used_again_and_one_that_nobody_wants_is_given_up(tmp_path: Path) -> None:
    """A listener keeps its port across restarts (redirect 5)."""
    kept = Claims(claims={"shop/a/http": 10_007, "shop/gone/http": 10_008})
    async with world(claims=kept) as w:
        await w.first_listing(*shop("a", "10.1.0.1"))
        assert names(w, LISTENER) == ["shop/a/http@10007"]
        assert dict(w.state.ports) == {"shop/a/http": 10_007}
        assert [rest.listener for rest in kept.resting] == ["shop/gone/http"]


async def test_a_listener_without_a_port_is_a_problem_until_a_port_has_rested() -> None:
    """An exhausted range is a Problem of the Ingress, and ends by itself 5 minutes after a port was freed."""
    async with world(claims=Claims(PortRange(10_000, 10_000))) as w:
        await w.first_listing(*shop("a", "10.1.0.1"), *shop("b", "10.1.0.2"))
        assert names(w, LISTENER) == ["shop/a/http@10000"]
        problem = w.state.problems[Ref(Kind.INGRESS, "shop", "b")][0]
        assert problem.code == "PortsExhausted"

        await w.say(Delete(Ref(Kind.INGRESS, "shop", "a")))
        await w.settled()
        assert names(w, LISTENER) == []
        await asyncio.sleep(REST_SECONDS - 1)
        assert names(w, LISTENER) == []
        await asyncio.sleep(2)
        assert names(w, LISTENER) == ["shop/b/http@10000"]
        assert Ref(Kind.INGRESS, "shop", "b") not in w.state.problems


async def test_problems_of_the_source_are_those_of_its_last_batch() -> None:
    """The source gives the whole list with every batch, not a difference."""
    problem = Problem(Ref(Kind.FILE, "", "a.yaml"), "Unreadable", "", "It is broken.", "Mend it.")
    async with world() as w:
        await w.first_listing()
        await w.say(Upsert(service("a")), problems=(problem,))
        assert w.state.all_problems() == (problem,)
        await w.say(Upsert(service("b")))
        assert w.state.all_problems() == ()


async def test_a_change_without_effect_publishes_nothing() -> None:
    """Equal content is no change (DESIGN 2.1)."""
    async with world() as w:
        await w.first_listing(*shop("a", "10.1.0.1"))
        target = w.publisher.target
        await w.say(*shop("a", "10.1.0.1"))
        await w.settled()
        assert w.publisher.target is target


def broken_ingress(change: Change) -> bool:
    return isinstance(change, Upsert) and change.ref.name == "bad" and change.ref.kind is Kind.INGRESS


async def test_a_defect_of_translation_costs_the_one_object_that_shows_it() -> None:
    """Everyone else is served as if it did not exist (DESIGN 3.2), and the object has a Problem that says so."""
    async with world(broken_ingress) as w:
        await w.first_listing(*shop("a", "10.1.0.1"), *shop("bad", "10.1.0.2"), *shop("c", "10.1.0.3"))
        assert names(w, ROUTE) == ["shop/a/http", "shop/c/http"]
        assert len(names(w, LISTENER)) == 2
        assert w.addresses("shop/c/80") == ["10.1.0.3"]
        assert [problem.code for problem in w.state.problems[Ref(Kind.INGRESS, "shop", "bad")]] == ["InternalError"]

        await w.say(Upsert(endpoints("a", "10.1.0.4")))
        assert w.addresses("shop/a/80") == ["10.1.0.4"]


async def test_a_defect_that_ends_with_the_next_change_is_forgotten() -> None:
    """A left-out object is tried again when it changes."""
    async with world(lambda change: isinstance(change, Upsert) and _path_of(change) == "/bad") as w:
        await w.first_listing(*shop("a", "10.1.0.1"))
        ref = Ref(Kind.INGRESS, "shop", "a")
        before = w.publisher.target
        await w.say(Upsert(ingress("a", "a", "/bad")))
        await w.settled()
        assert w.publisher.target is before, "what was accepted before goes on being served"
        assert ref in w.state.problems

        await w.say(Upsert(ingress("a", "a", "/good")))
        await w.settled()
        assert ref not in w.state.problems
        assert w.publisher.target is not before


async def test_what_was_left_out_is_tried_again_when_others_have_changed() -> None:
    """A defect may show in one object because of another, so the one left out gets another chance."""
    sick = [True]
    async with world(lambda change: sick[0] and broken_ingress(change)) as w:
        await w.first_listing(*shop("bad", "10.1.0.1"))
        assert names(w, ROUTE) == []
        sick[0] = False
        await w.say(Upsert(service("other")))
        await asyncio.sleep(RETRY_SECONDS + 1)
        assert names(w, ROUTE) == ["shop/bad/http"]
        assert not w.state.problems


async def test_a_defect_in_a_deletion_still_deletes() -> None:
    """An object that is gone is gone, whatever translation makes of it."""
    async with world(lambda change: isinstance(change, Delete)) as w:
        await w.first_listing(*shop("a", "10.1.0.1"), *shop("b", "10.1.0.2"))
        await w.say(Delete(Ref(Kind.INGRESS, "shop", "a")))
        await w.settled()
        assert names(w, ROUTE) == ["shop/b/http"]
        assert names(w, CLUSTER) == ["shop/b/80"]
        assert [name for name in names(w, LISTENER) if name.startswith("shop/a/")] == []


async def test_a_defect_in_a_claim_costs_that_listener() -> None:
    """A claim is blamed on its Ingress."""
    async with world(lambda change: isinstance(change, Claimed) and change.listener == "shop/a/http") as w:
        await w.first_listing(*shop("a", "10.1.0.1"), *shop("b", "10.1.0.2"))
        assert [name.partition("@")[0] for name in names(w, LISTENER)] == ["shop/b/http"]
        assert [ref.name for ref in w.state.problems] == ["a"]


def _path_of(change: Upsert) -> str:
    if not isinstance(change.object, Ingress):
        return ""
    http = change.object.spec.rules[0].http
    return http.paths[0].path if http else ""
