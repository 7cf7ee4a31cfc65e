"""A broken object never harms a good one, and everything that is wrong is said (DESIGN 3.2, issue 5)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodegate.model.changes import Upsert
from nodegate.model.objects import Object
from nodegate.model.problem import ProblemCode
from nodegate.model.refs import Kind
from nodegate.translate.codes import CODES, INVALID_CERTIFICATE
from nodegate.translate.expiry import expiring
from nodegate.translate.settings import ListenerMode, Settings
from tests.certificates import pair
from tests.unit.translate.broken import BROKEN, NEEDS_HISTORY, NEEDS_LISTENER
from tests.unit.translate.objects import claimed, endpoints, ingress, ingress_class, rule, secret, service, tls, upserts
from tests.unit.translate.world import World

pytestmark = pytest.mark.timeout(900)  # with the thousands of examples of the profile `full`

GOOD: list[Object] = [
    ingress_class("nodegate"),
    service("app"),
    endpoints("app", "10.0.0.1"),
    secret("cert", pair("good.example").data),
    ingress("first", rule({"/": "app:80", "/a": "app:80"}, "good.example"), tls=(tls("cert", "good.example"),), age=1),
    ingress("second", rule({"/b": "app:80"}, "good.example"), rule({"/": "app:80"}, "*.good.example"), age=2),
]
LISTENERS = ("default/first/http", "default/first/https", "default/second/http", "shared/http", "shared/https")
DEDICATED, SHARED = Settings(), Settings(listener_mode=ListenerMode.SHARED)


def test_every_kind_of_problem_has_a_generator() -> None:
    """A new code needs an object that has it, else nothing proves that it harms nobody."""
    assert set(CODES) == BROKEN.keys() | NEEDS_HISTORY | NEEDS_LISTENER


@pytest.mark.parametrize("code", BROKEN, ids=lambda code: code.code)
def test_each_kind_of_problem_is_found(code: ProblemCode) -> None:
    """It names the object and the field, and says what to do."""
    world = World(*upserts(*GOOD, *BROKEN[code]("bad")))
    found = [problem for problems in world.problems.values() for problem in problems if problem.code == code.code]
    assert found
    for problem in found:
        assert problem.field
        assert problem.message.endswith((".", ".'"))
        assert problem.remedy.endswith(".")
        assert problem.ref.name.startswith("bad")


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


CHOSEN = st.lists(st.sampled_from(sorted(BROKEN, key=lambda code: code.code)), max_size=6)


@given(CHOSEN, st.randoms(use_true_random=False))
def test_broken_objects_leave_dedicated_listeners_as_they_are(chosen: list[ProblemCode], random: Random) -> None:
    """N good Ingresses and M broken ones make of the N what they make alone, in any order of arrival."""
    alone = World(*upserts(*GOOD), *claimed(*LISTENERS), settings=DEDICATED)
    mixed = World(*_mixed(chosen, random), *claimed(*LISTENERS), settings=DEDICATED)
    for key, made in alone.bytes.items():
        assert mixed.bytes[key] == made
    assert not [ref for ref in mixed.problems if ref.name in {"first", "second", "app", "cert"}]


@given(CHOSEN, st.randoms(use_true_random=False))
def test_broken_objects_leave_the_hosts_of_others_as_they_are(chosen: list[ProblemCode], random: Random) -> None:
    """On shared listeners each good host has exactly the routes it has alone, whatever is broken beside it."""
    alone = World(*upserts(*GOOD), *claimed(*LISTENERS), settings=SHARED)
    mixed = World(*_mixed(chosen, random), *claimed(*LISTENERS), settings=SHARED)
    for listener in ("shared/http", "shared/https"):
        assert mixed.routes(listener, "good.example") == alone.routes(listener, "good.example")
        own = alone.routes(listener, "*.good.example")
        assert mixed.routes(listener, "*.good.example")[: len(own)] == own
    assert "default/cert" in mixed.names("secret")


def _mixed(chosen: list[ProblemCode], random: Random) -> list[Upsert]:
    """Return the good objects and some broken ones, each with names of its own, in a random order."""
    broken = [content for number, code in enumerate(chosen) for content in BROKEN[code](f"bad-{number}")]
    changes = [Upsert(content) for content in (*GOOD, *broken)]
    random.shuffle(changes)
    return changes


def test_all_kinds_at_once_are_all_found() -> None:
    """Everything that can be wrong, in one cluster: all of it is said, and the good Ingresses are served."""
    broken = [content for number, make in enumerate(BROKEN.values()) for content in make(f"bad-{number}")]
    world = World(*upserts(*GOOD, *broken), *claimed(*LISTENERS))
    assert set(world.codes()) == {code.code for code in BROKEN}
    assert world.routes("default/first/https", "good.example")[1:] == [
        ("/a", "default/app/80"),
        ("/", "default/app/80"),
    ]
    assert all(ref.kind in {Kind.INGRESS, Kind.SERVICE, Kind.ENDPOINT_SLICE} for ref in world.problems)
