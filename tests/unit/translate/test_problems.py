"""A broken object never harms a good one, and everything that is wrong is said (DESIGN 3.2, issue 5)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nodegate.model.changes import Change, Claimed, Upsert
from nodegate.model.objects import Object, ServiceSpec
from nodegate.model.problem import Problem, ProblemCode
from nodegate.model.refs import Kind
from nodegate.translate.codes import CODES, INVALID_CERTIFICATE
from nodegate.translate.expiry import expiring
from nodegate.translate.settings import Settings
from tests.certificates import pair
from tests.unit.translate.broken import BROKEN, DEDICATED, HOST, SETTINGS, SHARED, broken, possible
from tests.unit.translate.objects import (
    claimed,
    endpoints,
    front_door,
    ingress,
    ingress_class,
    rule,
    secret,
    service,
    tls,
    upserts,
)
from tests.unit.translate.world import World

pytestmark = pytest.mark.timeout(900)  # with the thousands of examples of the profile `full`

GOOD: list[Object] = [
    ingress_class("nodegate"),
    service("app"),
    endpoints("app", "10.0.0.1"),
    secret("cert", pair("good.example").data),
    ingress("first", rule({"/": "app:80", "/a": "app:80"}, "good.example"), tls=(tls("cert", "good.example"),), age=1),
    ingress("second", rule({"/b": "app:80"}, "good.example"), rule({"/": "app:80"}, "*.good.example"), age=2),
    front_door("first", spec=ServiceSpec(cluster_ip="10.96.0.1"), age=1),
]
LISTENERS = ("default/first/http", "default/first/https", "default/second/http", "shared/http", "shared/https")
NOW = datetime.now(UTC)


def problems_in(world: World) -> list[Problem]:
    """Return all problems, those that come with time included."""
    found = (*world.problems.values(), *expiring(world.index, NOW).values())
    return [problem for problems in found for problem in problems]


def test_every_kind_of_problem_has_a_generator() -> None:
    """A new code needs an object that has it, else nothing proves that it harms nobody."""
    assert set(CODES) == set(BROKEN)
    assert set(BROKEN) == {code for settings in SETTINGS.values() for code in possible(settings)}


@pytest.mark.parametrize("code", BROKEN, ids=lambda code: code.code)
def test_each_kind_of_problem_is_found(code: ProblemCode) -> None:
    """It names the object and the field, and says what to do."""
    settings = DEDICATED if code in possible(DEDICATED) else HOST
    world = World(*upserts(*GOOD), *broken(code, "bad"), settings=settings)
    found = [problem for problem in problems_in(world) if problem.code == code.code]
    assert found
    for problem in found:
        assert problem.field
        assert problem.message.endswith((".", ".'"))
        assert problem.remedy.endswith(".")
        assert "bad" in problem.ref.name or problem.ref.namespace == "nodegate-system"


def test_a_secret_that_was_good_once_is_found() -> None:
    """The one problem that takes a history: what replaced a good certificate is no good (ingress.md 35)."""
    world = World(*upserts(*GOOD), Upsert(secret("cert", {"tls.crt": b"", "tls.key": b""})))
    assert world.codes() == [INVALID_CERTIFICATE.code]
    assert "default/cert" in world.names("secret")


@pytest.mark.parametrize(
    ("days", "code"),
    [(10, None), (17, "CertificateExpiresSoon"), (29, "CertificateExpiresSoon"), (31, "CertificateExpired")],
)
def test_certificates_expire_without_any_change(days: int, code: str | None) -> None:
    """Who has a clock learns which served certificates, good for 30 days, need to be renewed (ingress.md 35)."""
    world = World(*upserts(*GOOD, secret("unused", pair("good.example").data)))
    found = expiring(world.index, datetime.now(UTC) + timedelta(days=days))
    assert [problem.code for problems in found.values() for problem in problems] == ([code] if code else [])


def chosen_of(settings: Settings) -> st.SearchStrategy[list[ProblemCode]]:
    """Up to six kinds of problems, or all at once."""
    kinds = possible(settings)
    return st.lists(st.sampled_from(kinds), max_size=6) | st.just(kinds)


RANDOMS = st.randoms(use_true_random=False)


@given(chosen_of(DEDICATED), RANDOMS)
@example(possible(DEDICATED), Random(1))
def test_broken_objects_leave_dedicated_listeners_as_they_are(chosen: list[ProblemCode], random: Random) -> None:
    """N good Ingresses and M broken ones make of the N what they make alone, in any order of arrival."""
    alone, mixed = _worlds(chosen, random, DEDICATED)
    for key, made in alone.bytes.items():
        assert mixed.bytes[key] == made


@given(chosen_of(SHARED), RANDOMS)
@example(possible(SHARED), Random(1))
def test_broken_objects_leave_the_hosts_of_others_as_they_are(chosen: list[ProblemCode], random: Random) -> None:
    """On shared listeners each good host has exactly the routes it has alone, whatever is broken beside it."""
    _assert_hosts_are_as_alone(*_worlds(chosen, random, SHARED))


@given(chosen_of(HOST), RANDOMS)
@example(possible(HOST), Random(1))
def test_broken_objects_leave_hosts_on_the_nodes_ports_as_they_are(chosen: list[ProblemCode], random: Random) -> None:
    """The same where the shared listeners bind the nodes' own ports."""
    _assert_hosts_are_as_alone(*_worlds(chosen, random, HOST))


def _worlds(chosen: list[ProblemCode], random: Random, settings: Settings) -> tuple[World, World]:
    """Return what good objects make alone, and with broken ones among them, every one of which is a problem."""
    alone = World(*upserts(*GOOD), *claimed(*LISTENERS), settings=settings)
    mixed = World(*_mixed(chosen, random), *claimed(*LISTENERS), settings=settings)
    assert not problems_in(alone)
    assert {problem.code for problem in problems_in(mixed)} >= {code.code for code in chosen}
    assert not [ref for ref in mixed.problems if ref in {content.ref for content in GOOD}]
    return alone, mixed


def _assert_hosts_are_as_alone(alone: World, mixed: World) -> None:
    for listener in ("shared/http", "shared/https"):
        assert mixed.routes(listener, "good.example") == alone.routes(listener, "good.example")
        own = alone.routes(listener, "*.good.example")
        assert mixed.routes(listener, "*.good.example")[: len(own)] == own
    assert "default/cert" in mixed.names("secret")


def _mixed(chosen: list[ProblemCode], random: Random) -> list[Change]:
    """Return the good objects and some broken ones, each with names of its own, in a random order.

    What is said of one object keeps its own order.
    """
    changes = upserts(*GOOD)
    for number, code in enumerate(chosen):
        changes += broken(code, f"bad-{number}")
    shuffled = random.sample(changes, len(changes))
    by_object: dict[object, list[Change]] = {}
    for change in changes:
        by_object.setdefault(_subject(change), []).append(change)
    return [by_object[_subject(change)].pop(0) for change in shuffled]


def _subject(change: Change) -> object:
    return change.listener if isinstance(change, Claimed) else change.ref


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_all_kinds_at_once_are_all_found(settings: Settings) -> None:
    """Everything that can be wrong, in one cluster: all of it is said, and nothing else."""
    changes = [change for number, code in enumerate(possible(settings)) for change in broken(code, f"bad-{number}")]
    world = World(*upserts(*GOOD), *changes, *claimed(*LISTENERS), settings=settings)
    assert {problem.code for problem in problems_in(world)} == {code.code for code in possible(settings)}
    assert all(ref.kind in {Kind.INGRESS, Kind.SERVICE, Kind.ENDPOINT_SLICE, Kind.SECRET} for ref in world.problems)


def test_good_ingresses_are_served_beside_all_kinds() -> None:
    """And the good Ingresses have their routes."""
    changes = [change for number, code in enumerate(BROKEN) for change in broken(code, f"bad-{number}")]
    world = World(*upserts(*GOOD), *changes, *claimed(*LISTENERS))
    assert world.routes("default/first/https", "good.example")[1:] == [
        ("/a", "default/app/80"),
        ("/", "default/app/80"),
    ]
