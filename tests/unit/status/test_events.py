"""Events: what is told, how often, by whom, and at which pace."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import pytest

from nodegate.model.objects import Ingress, IngressClass, Metadata, Object
from nodegate.model.problem import Problem, Severity
from nodegate.model.refs import Kind, Ref
from nodegate.status.event import event_body, event_name
from nodegate.status.events import STANDS_SECONDS, STILL_SECONDS, EventWriter, Teller
from nodegate.status.pace import OF_ALL_AT_ONCE, OF_ONE_AT_ONCE, Buckets, Pace
from nodegate.status.requests import Requests
from tests.unit.status.cluster import Answered, done

pytestmark = pytest.mark.looptime

WEB = Ingress(Metadata(name="web", namespace="shop", uid="u-1"))


def problem(message: str = "There is no Service a.", code: str = "ServiceNotFound", **more: Any) -> Problem:
    return Problem(more.pop("ref", WEB.ref), code, "spec.rules[0]", message, "Create it.", **more)


class Store:
    """Events as an API server keeps them."""

    def __init__(self) -> None:
        self.events: dict[str, dict[str, Any]] = {}
        self.sent: list[str] = []
        self.errors: list[int] = []

    async def send(self, method: str, path: str, query: Mapping[str, str], body: bytes, content_type: str) -> bytes:
        """Answer a request."""
        self.sent.append(method)
        if self.errors:
            raise Answered(self.errors.pop(0))
        if method == "POST":
            made = json.loads(body)
            path = f"{path}/{made['metadata']['name']}"
            if path in self.events:
                raise Answered(409)
            self.events[path] = made
        elif path not in self.events:
            raise Answered(404)
        elif method == "PATCH":
            assert content_type == "application/merge-patch+json"
            self.events[path].update(json.loads(body))
        return json.dumps(self.events[path]).encode()

    def counts(self) -> list[int]:
        """How often each Event says it was seen, in order of the first time."""
        return [event.get("series", {}).get("count", 1) for event in self.events.values()]


class Desk:
    """A writer of one replica, and what it wrote."""

    def __init__(self, store: Store | None = None, *, leads: bool = True, objects: tuple[Object, ...] = (WEB,)) -> None:
        self.store = store or Store()
        self.leads = leads
        self.objects = {one.ref: one for one in objects}
        teller = Teller("replica-1", lambda: self.leads, frozenset({"RejectedByProxy"}))
        self.writer = EventWriter(Requests(self.store), teller, self.objects.get, lambda: 1_700_000_000.0)

    async def note(self, *problems: Problem, ref: Ref = WEB.ref) -> list[int]:
        """Let these be all problems of an object; return how often each Event was told by now."""
        self.writer.note(ref, problems)
        return await self.told()

    async def told(self) -> list[int]:
        """Let it write what has stood long enough; return how often each Event was told."""
        await asyncio.sleep(STANDS_SECONDS)
        await done(self.writer.work)
        return self.store.counts()


# --- What is told --------------------------------------------------------------------------------------------------


async def test_a_problem_is_told_in_its_own_words_on_its_object() -> None:
    """``kubectl describe`` finds it by the object's uid, and docs/problems.md by its reason."""
    desk = Desk()
    await desk.note(problem())
    (event,) = desk.store.events.values()
    assert (event["reason"], event["type"]) == ("ServiceNotFound", "Warning")
    assert event["note"] == "spec.rules[0]: There is no Service a. Create it."
    assert event["regarding"] == {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "namespace": "shop",
        "name": "web",
        "uid": "u-1",
    }
    assert event["eventTime"] == "2023-11-14T22:13:20.000000Z"


async def test_what_is_only_worth_knowing_is_no_event() -> None:
    """Nothing is wrong; an Ingress of a class that nobody knows is somebody else's, maybe."""
    assert await Desk().note(problem(severity=Severity.INFO)) == []


async def test_a_problem_of_something_that_is_no_object_is_no_event() -> None:
    """There is nothing that kubectl could describe."""
    ref = Ref(Kind.CLUSTER, "", "Kubernetes API")
    assert await Desk().note(problem(ref=ref), ref=ref) == []


async def test_an_object_without_namespace_has_its_events_in_default() -> None:
    """That is where kubectl looks."""
    found = IngressClass(Metadata(name="nodegate", uid="u-2"))
    desk = Desk(objects=(found,))
    await desk.note(problem(ref=found.ref), ref=found.ref)
    assert next(iter(desk.store.events)).startswith("/apis/events.k8s.io/v1/namespaces/default/events/nodegate.")


def test_a_long_note_is_cut_at_what_the_api_takes() -> None:
    """1,024 bytes, and never half a character."""
    told = problem("ü" * 2_000)
    note = event_body(event_name(told, WEB), told, WEB, "x", 0.0)["note"]
    assert 1_020 < len(note.encode()) <= 1_024


def test_an_event_of_a_long_name_is_legal() -> None:
    """An Ingress may have 253 characters, and so may an Event."""
    found = Ingress(Metadata(name="a" * 199 + "." + "b" * 53, namespace="shop", uid="u-1"))
    name = event_name(problem(ref=found.ref), found).name
    assert len(name) <= 253
    assert ".." not in name


def test_what_a_problem_is_about_makes_its_event_whatever_the_message_says_by_now() -> None:
    """Proxies that come to reject the same are no other Event."""
    one, two = (problem(f"{who} reject it.", about="route shop/web/http") for who in ("a", "b and 3 more"))
    assert event_name(one, WEB) == event_name(two, WEB)
    assert event_name(one, WEB) != event_name(problem("a reject it.", about="cluster shop/a/80"), WEB)


# --- How often -----------------------------------------------------------------------------------------------------


async def test_a_problem_that_stands_is_told_once() -> None:
    """Whatever else changes of the object."""
    desk = Desk()
    await desk.note(problem())
    assert await desk.note(problem(), problem("A path is none.", "InvalidPath")) == [1, 1]
    assert desk.store.sent == ["POST", "POST"]


async def test_numbers_in_the_message_do_not_make_it_another_one() -> None:
    """They count how many are concerned."""
    desk = Desk()
    await desk.note(problem("Rejected by 1 of 2 proxies."))
    assert await desk.note(problem("Rejected by 2 of 2 proxies.")) == [1]


async def test_a_problem_that_ended_is_not_told_and_one_that_comes_back_is_counted_up() -> None:
    """One Event, as kubectl shows it: ``x2 over 5m``."""
    desk = Desk()
    await desk.note(problem())
    assert await desk.note() == [1]
    assert await desk.note(problem()) == [2]
    assert await desk.note() == [2]


async def test_one_that_ended_before_it_could_be_told_is_not_told_any_more() -> None:
    """The server was away meanwhile."""
    desk = Desk()
    desk.store.errors = [503]
    desk.writer.note(WEB.ref, [problem()])
    running = asyncio.create_task(desk.writer.work.run())
    await asyncio.sleep(STANDS_SECONDS + 0.1)
    assert desk.store.sent == ["POST"]
    assert await desk.note() == []
    running.cancel()


async def test_a_problem_that_ends_within_a_moment_is_not_told_at_all() -> None:
    """``kubectl apply -f`` of a folder makes an Ingress before its Services; nobody has to hear of that for an hour."""
    desk = Desk()
    for _ in range(10):
        desk.writer.note(WEB.ref, [problem()])
        await asyncio.sleep(STANDS_SECONDS * 0.9)
        desk.writer.note(WEB.ref, [])
        await asyncio.sleep(STANDS_SECONDS * 0.2)
    assert await desk.told() == []
    assert await desk.note(problem()) == [1]


async def test_a_problem_that_lasts_is_told_again_before_the_server_forgets_it() -> None:
    """Events live for an hour; what was forgotten all the same is told anew."""
    desk = Desk()
    await desk.note(problem())
    repeating = asyncio.create_task(desk.writer.repeat())
    await asyncio.sleep(STILL_SECONDS * 1.2)
    assert await desk.told() == [2]
    desk.store.events.clear()
    await asyncio.sleep(STILL_SECONDS * 1.2)
    assert await desk.told() == [1]
    repeating.cancel()


async def test_a_restart_repeats_nothing() -> None:
    """The name of an Event follows from what it says; counts go on from what the server knows."""
    first = Desk()
    await first.note(problem())
    await first.note()
    assert await first.note(problem()) == [2]
    again = Desk(first.store)
    assert await again.note(problem()) == [2]
    await again.note()
    assert await again.note(problem()) == [3]


# --- Who tells -----------------------------------------------------------------------------------------------------


async def test_what_follows_from_objects_is_told_by_the_replica_that_leads() -> None:
    """Another one tells it when it leads, and nothing twice (DESIGN 3.6)."""
    store = Store()
    leader, other = Desk(store), Desk(store, leads=False)
    assert await other.note(problem()) == []
    assert await leader.note(problem()) == [1]
    other.leads = True
    other.writer.look_at_all()
    assert await other.told() == [1]


async def test_what_a_stream_shows_is_told_by_the_replica_that_holds_it() -> None:
    """Nobody else knows of it (DESIGN 3.6)."""
    assert await Desk(leads=False).note(problem(code="RejectedByProxy")) == [1]


# --- At which pace -------------------------------------------------------------------------------------------------


async def test_many_problems_of_one_object_are_told_slowly_and_those_that_end_meanwhile_are_not() -> None:
    """Ten at once, then two a minute."""
    desk = Desk()
    problems = [problem(f"There is no Service {name}.") for name in "abcdefghijklmno"]
    running = asyncio.create_task(desk.writer.work.run())
    desk.writer.note(WEB.ref, problems)
    await asyncio.sleep(STANDS_SECONDS + 1)
    assert len(desk.store.events) == OF_ONE_AT_ONCE
    said = " ".join(event["note"] for event in desk.store.events.values())
    told, waiting = ([one for one in problems if (one.message in said) is yes] for yes in (True, False))
    desk.writer.note(WEB.ref, [*told, *waiting[:2]])
    await asyncio.sleep(200)
    assert len(desk.store.events) == 12
    running.cancel()


def test_all_objects_together_have_a_pace_too() -> None:
    """2,000 broken Ingresses are told in minutes, not at once."""
    pace = Pace()
    told = [number for number in range(2_000) if not pace.pause(number, 0.0)]
    assert len(told) == OF_ALL_AT_ONCE
    assert pace.pause("next", 0.0) == pytest.approx(0.1)
    assert not pace.pause("next", 0.1)


def test_who_has_written_nothing_for_long_is_forgotten() -> None:
    """Of very many objects, those are kept that have written of late."""
    buckets = Buckets(2.0, 1.0)
    for number in range(25_000):
        assert not buckets.pause(number, 0.0)
    assert not buckets.pause("late", 50.0)
    assert not buckets.pause("late", 50.0)
    assert buckets.pause("late", 50.0) == pytest.approx(1.0)
    for number in range(25_000):
        buckets.pause(-number, 50.0)
    assert len(buckets) < 45_000
    assert buckets.pause("late", 50.0) == pytest.approx(1.0)
