"""What annotations of a Service, and its spec, do to requests, as a real Envoy does it (issue 5)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent import futures

import pytest

from nodegate.model.objects import Service, ServiceSpec
from nodegate.snapshot.facts import NodeFacts
from tests.e2e.ingress.conftest import MakeEcho
from tests.e2e.ingress.gateway import Gateway
from tests.e2e.rig.waiting import eventually
from tests.unit.translate.objects import at, endpoints, ingress, rule, service

WEB = ingress("web", rule({"/": "app:80"}))


def late(seconds: float) -> Callable[[str], int]:
    """Return what makes a backend answer late."""

    def answer(_: str) -> int:
        time.sleep(seconds)
        return 200

    return answer


def test_a_try_that_takes_too_long_is_given_up_for_another_endpoint(gateway: Gateway, echo: MakeEcho) -> None:
    """With ``per-try-timeout`` an endpoint that hangs costs its clients that long, and no request (ingress.md 43)."""
    slices = [echo("hangs", answer=late(1)).slice("app"), echo("app").slice("app")]
    gateway.serve(WEB, service("app", per_try_timeout="200ms"), *slices)
    assert {gateway.get().by for _ in range(10)} == {"app"}
    assert sum(gateway.stats(r"default/app/80\.upstream_rq_per_try_timeout$").values()) > 0


def test_without_another_try_an_endpoint_that_takes_too_long_is_answered_504(gateway: Gateway, echo: MakeEcho) -> None:
    """Where retries are off, what limits one try limits the request."""
    gateway.serve(WEB, service("app", per_try_timeout="200ms", retries="0"), echo("hangs", answer=late(1)).slice("app"))
    assert gateway.get().status == 504


def test_more_requests_than_a_service_takes_are_answered_503(gateway: Gateway, echo: MakeEcho) -> None:
    """``max-requests`` protects an application: what is over it is answered at once, and nothing waits."""
    held = threading.Event()
    app = echo("app", answer=lambda _: 200 if held.wait(10) else 500)
    gateway.serve(WEB, service("app", max_requests="1", retries="0"), app.slice("app"))
    with futures.ThreadPoolExecutor(1) as pool:
        first = pool.submit(gateway.get, "/first")
        eventually(lambda: app.requests == ["/first"], within=5, what="the first request")
        assert gateway.get("/second").status == 503
        held.set()
        assert first.result().by == "app"
    assert app.requests == ["/first"]


def test_more_connections_than_a_service_takes_wait_for_one_another(gateway: Gateway, echo: MakeEcho) -> None:
    """``max-connections`` bounds what an application has open: requests over it wait, and are answered."""
    held = threading.Event()
    app = echo("app", answer=lambda _: 200 if held.wait(10) else 500)
    gateway.serve(WEB, service("app", max_connections="1"), app.slice("app"))
    with futures.ThreadPoolExecutor(2) as pool:
        answers = [pool.submit(gateway.get, path) for path in ("/1", "/2")]
        pending = r"default/app/80\.upstream_rq_pending_active$"
        eventually(lambda: sum(gateway.stats(pending).values()) == 1, within=5, what="the request that waits")
        assert len(app.requests) == 1
        held.set()
        assert [answer.result().by for answer in answers] == ["app", "app"]


def test_an_endpoint_that_keeps_failing_is_left_out_where_that_is_asked_for(gateway: Gateway, echo: MakeEcho) -> None:
    """With ``outlier-detection`` five errors in a row are enough; without, readiness alone decides."""
    slices = [echo("fails", answer=lambda _: 500).slice(name) for name in ("app", "other")]
    slices += [echo("works").slice(name) for name in ("app", "other")]
    web = ingress("web", rule({"/app": "app:80", "/other": "other:80"}))
    gateway.serve(web, service("app", outlier_detection="true"), service("other"), *slices)
    answers = {path: [gateway.get(path).by for _ in range(60)] for path in ("/app", "/other")}
    assert set(answers["/app"][-20:]) == {"works"}
    assert set(answers["/other"][-20:]) == {"fails", "works"}


def test_header_affinity(gateway: Gateway, echo: MakeEcho) -> None:
    """Requests with the same value of a header reach the same endpoint (ingress.md 32)."""
    slices = [echo(name).slice("app") for name in ("one", "two", "three")]
    gateway.serve(WEB, service("app", affinity="header:x-user"), *slices)
    assert len({gateway.get(headers={"x-user": "me"}).by for _ in range(20)}) == 1
    assert len({gateway.get(headers={"x-user": str(n)}).by for n in range(50)}) > 1


@pytest.mark.parametrize(
    "app",
    [service("app", locality="zone"), service("app", spec=ServiceSpec(traffic_distribution="PreferClose"))],
    ids=["annotation", "trafficDistribution"],
)
def test_endpoints_of_the_same_zone_first(gateway: Gateway, echo: MakeEcho, app: Service) -> None:
    """Requests stay in the zone while it has an endpoint, where the Service asks for it (DESIGN 2.2)."""
    slices = [
        endpoints("app", at("127.0.0.1", node=f"node-{zone}", zone=zone), port=echo(zone).port, name=f"app-{zone}")
        for zone in ("here", "there")
    ]
    gateway.serve(WEB, app, *slices, facts=NodeFacts(node="node-x", zone="here"))
    assert {gateway.get().by for _ in range(30)} == {"here"}


def test_headless_services_and_those_without_selector(gateway: Gateway, echo: MakeEcho) -> None:
    """What their slices say is all it takes (ingress.md 27)."""
    web = ingress("web", rule({"/headless": "headless:80", "/manual": "manual:80"}))
    headless = service("headless", spec=ServiceSpec(cluster_ip="None"))
    slices = [echo(name).slice(name) for name in ("headless", "manual")]
    gateway.serve(web, headless, service("manual"), *slices)
    assert [gateway.get(f"/{name}").by for name in ("headless", "manual")] == ["headless", "manual"]


def test_an_endpoint_that_two_slices_name_gets_its_share_once(gateway: Gateway, echo: MakeEcho) -> None:
    """All slices of a Service are its endpoints, each once (ingress.md 23)."""
    one, two = echo("one"), echo("two")
    gateway.serve(WEB, service("app"), one.slice("app"), one.slice("app"), two.slice("app"))
    assert {gateway.get().by for _ in range(30)} == {"one", "two"}
    assert gateway.stats(r"default/app/80\.membership_total") == {"cluster.default/app/80.membership_total": 2}
