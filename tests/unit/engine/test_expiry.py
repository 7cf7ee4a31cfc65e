"""Certificates expire without any object changing: the engine looks once a day, in virtual time (ingress.md 35)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from msgspec.structs import replace

from nodegate.engine.expiry import DAY_SECONDS
from nodegate.model.changes import Delete, Upsert
from nodegate.model.objects import Ingress, IngressTLS, Metadata, Secret
from nodegate.model.refs import Kind, Ref
from tests.certificates import authority
from tests.unit.engine.world import World, ingress, service, world

pytestmark = pytest.mark.looptime

CERT = Ref(Kind.SECRET, "shop", "cert")


def certificate(days: int) -> Secret:
    made = authority().sign("shop.example", lasts=timedelta(days=days))
    return Secret(Metadata("cert", "shop"), "kubernetes.io/tls", made.data)


def secured() -> Ingress:
    plain = ingress("web", "web")
    return replace(plain, spec=replace(plain.spec, tls=(IngressTLS(("shop.example",), "cert"),)))


def told(made: World) -> list[str]:
    """Return what is said of the certificate."""
    return [problem.code for problem in made.state.problems.get(CERT, ())]


def days() -> float:
    """Return how many days have passed."""
    return asyncio.get_running_loop().time() / DAY_SECONDS


@asynccontextmanager
async def shop(lasts: int) -> AsyncIterator[World]:
    """Serve an Ingress whose certificate lasts so many days, from now on."""
    async with world(began=time.time()) as made:
        await made.first_listing(Upsert(service("web")), Upsert(secured()), Upsert(certificate(lasts)))
        yield made


async def test_a_certificate_that_nobody_renews_is_told_within_a_day() -> None:
    """Two weeks before its end, and again when that has come."""
    async with shop(lasts=30) as w:
        await asyncio.sleep(15.5 * DAY_SECONDS)
        assert told(w) == []
        await w.engine.until(lambda _: told(w) == ["CertificateExpiresSoon"])
        assert days() == pytest.approx(16, abs=1)
        await w.engine.until(lambda _: told(w) == ["CertificateExpired"])
        assert days() == pytest.approx(30, abs=1)


@pytest.mark.parametrize(("lasts", "code"), [(7, "CertificateExpiresSoon"), (-1, "CertificateExpired")])
async def test_what_is_told_at_the_first_listing_goes_with_a_renewed_certificate(lasts: int, code: str) -> None:
    """Nobody waits for a day: neither for the problem, nor for its end."""
    async with shop(lasts) as w:
        assert told(w) == [code]
        await w.say(Upsert(certificate(60)))
        await w.settled()
        assert told(w) == []
        await w.say(Upsert(certificate(5)))
        await w.settled()
        assert told(w) == ["CertificateExpiresSoon"]
        assert days() < 0.001


async def test_a_certificate_that_nobody_uses_any_more_is_nobodys_problem() -> None:
    """It goes with the last Ingress that names it."""
    async with shop(lasts=7) as w:
        await w.say(Delete(secured().ref))
        await w.settled()
        assert told(w) == []


async def test_what_is_told_of_a_certificate_says_until_when_it_lasts() -> None:
    """A problem names the object, the field and the remedy."""
    async with shop(lasts=7) as w:
        (problem,) = w.state.problems[CERT]
        assert problem.field == "data[tls.crt]"
        assert "expires on" in problem.message
        assert problem.remedy.startswith("Renew the certificate")
