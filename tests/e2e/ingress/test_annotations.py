"""What annotations of an Ingress do to requests, as a real Envoy does it (issue 5)."""

from __future__ import annotations

import time

import pytest

from nodegate.model.objects import HTTPIngressPath, HTTPIngressRuleValue, IngressRule
from tests.e2e.ingress.conftest import MakeEcho
from tests.e2e.ingress.gateway import Gateway
from tests.unit.translate.objects import backend, ingress, rule, service


def serve(gateway: Gateway, echo: MakeEcho, *rules: IngressRule, **annotations: str) -> None:
    """Serve one Ingress ``web`` with these annotations, in front of one backend ``app``."""
    made = ingress("web", *rules, **annotations)  # type: ignore[arg-type]  # no annotation is called like a parameter
    gateway.serve(made, service("app"), echo("app").slice("app"))


REGEX = IngressRule("", HTTPIngressRuleValue((HTTPIngressPath("ImplementationSpecific", backend("app:80"), "/r.*"),)))


@pytest.mark.parametrize(
    ("to", "cases"),
    [
        ("/", {"/a": "/", "/a/": "/", "/a/b": "/b", "/a/b/?q=1": "/b/?q=1", "/e": "/", "/x/y": "/x/y", "/r1": "/"}),
        ("/v1", {"/a": "/v1", "/a/": "/v1/", "/a/b?q": "/v1/b?q", "/e": "/v1", "/x/y": "/v1/x/y", "/": "/v1/"}),
        ("/v1/", {"/a": "/v1", "/a/b": "/v1/b", "/x/y": "/v1/x/y"}),
    ],
)
def test_rewrite_prefix(gateway: Gateway, echo: MakeEcho, to: str, cases: dict[str, str]) -> None:
    """The matched part of the path is replaced, and no slash is doubled or lost."""
    serve(
        gateway,
        echo,
        rule({"/a": "app:80", "=/e": "app:80", "/": "app:80"}),
        REGEX,
        rewrite_prefix=to,
        path_regex="full",
    )
    assert {path: gateway.get(path).seen["path"] for path in cases} == cases


def test_host_rewrite(gateway: Gateway, echo: MakeEcho) -> None:
    """The backend gets the Host it needs."""
    serve(gateway, echo, rule({"/": "app:80"}), host_rewrite="internal.example")
    assert gateway.get(host="www.example").seen["headers"]["host"] == "internal.example"


@pytest.mark.parametrize(
    ("to", "code", "location"),
    [
        ("https://www.example.com", "", "https://www.example.com/a?b=c"),
        ("https://www.example.com:8443/new", "301", "https://www.example.com:8443/new?b=c"),
    ],
)
def test_redirect_to(gateway: Gateway, echo: MakeEcho, to: str, code: str, location: str) -> None:
    """Every request is redirected; without a path in the annotation, the request's is kept."""
    more = {"redirect_code": code} if code else {}
    serve(gateway, echo, rule({"/": "app:80"}), redirect_to=to, **more)
    answer = gateway.get("/a?b=c")
    assert (answer.status, answer.headers["location"]) == (int(code or 308), location)


def test_max_body_size(gateway: Gateway, echo: MakeEcho) -> None:
    """A larger body is answered 413, whether its length is declared or not."""
    serve(gateway, echo, rule({"/": "app:80"}), max_body_size="1k")
    assert gateway.get(method="POST", body=b"x" * 1000).seen["body"] == 1000
    assert gateway.get(method="POST", body=b"x" * 1001).status == 413
    assert gateway.get(method="POST", body=iter([b"x" * 600] * 2)).status == 413


def test_without_a_limit_bodies_are_streamed(gateway: Gateway, echo: MakeEcho) -> None:
    """Nothing is buffered unless it is asked for, so size does not matter."""
    serve(gateway, echo, rule({"/": "app:80"}))
    assert gateway.get(method="POST", body=b"x" * 5_000_000).seen["body"] == 5_000_000


def test_rate_limit(gateway: Gateway, echo: MakeEcho) -> None:
    """More requests than allowed are answered 429."""
    serve(gateway, echo, rule({"/": "app:80"}), rate_limit="5/h")
    assert [gateway.get().status for _ in range(7)] == [200] * 5 + [429] * 2


@pytest.mark.parametrize(
    ("annotations", "status"),
    [
        ({"allow_ranges": "127.0.0.0/8"}, 200),
        ({"allow_ranges": "10.0.0.0/8, ::/0"}, 403),
        ({"deny_ranges": "127.0.0.1"}, 403),
        ({"deny_ranges": "10.0.0.0/8"}, 200),
        ({"allow_ranges": "127.0.0.0/8", "deny_ranges": "127.0.0.1/32"}, 403),
        ({"allow_ranges": "127.0.0.0/33"}, 403),
        ({"allow_ranges": ""}, 403),
        ({"deny_ranges": "anybody"}, 403),
    ],
)
def test_address_ranges(gateway: Gateway, echo: MakeEcho, annotations: dict[str, str], status: int) -> None:
    """Clients in the wrong range get 403; a list that cannot be read keeps everybody out, it does not open."""
    serve(gateway, echo, rule({"/": "app:80"}), **annotations)
    assert gateway.get(headers={"x-forwarded-for": "127.0.0.1"}).status == status


def test_cors(gateway: Gateway, echo: MakeEcho) -> None:
    """Scripts of the listed origins may call, others may not; preflights never reach the backend."""
    serve(
        gateway,
        echo,
        rule({"/": "app:80"}),
        cors_origins="https://a.example, https://*.b.example",
        cors_credentials="true",
    )
    preflight = {"access-control-request-method": "PUT"}
    for origin in ("https://a.example", "https://x.b.example"):
        answer = gateway.get(method="OPTIONS", headers={"origin": origin, **preflight})
        assert answer.status == 200
        assert not answer.seen
        assert answer.headers["access-control-allow-origin"] == origin
        assert "PUT" in answer.headers["access-control-allow-methods"]
        assert gateway.get(headers={"origin": origin}).headers["access-control-allow-origin"] == origin
    other = gateway.get(headers={"origin": "https://aXexample"})
    assert "access-control-allow-origin" not in other.headers


def test_what_browsers_may_send_and_how_long_they_remember_it(gateway: Gateway, echo: MakeEcho) -> None:
    """``cors-methods``, ``cors-headers`` and ``cors-max-age`` are what a preflight is answered with."""
    serve(
        gateway,
        echo,
        rule({"/": "app:80"}),
        cors_origins="https://a.example",
        cors_methods="GET, PUT",
        cors_headers="x-token, x-other",
        cors_max_age="1h",
    )
    preflight = {"origin": "https://a.example", "access-control-request-method": "PUT"}
    answered = gateway.get(method="OPTIONS", headers=preflight).headers
    listed = {name: answered[f"access-control-{name}"].replace(" ", "") for name in ("allow-methods", "allow-headers")}
    assert listed == {"allow-methods": "GET,PUT", "allow-headers": "x-token,x-other"}
    assert answered["access-control-max-age"] == "3600"
    assert "access-control-allow-credentials" not in answered


def test_timeout(gateway: Gateway, echo: MakeEcho) -> None:
    """A request that takes longer than it may is answered 504."""

    def late(_: str) -> int:
        time.sleep(1)
        return 200

    app = echo("app", answer=late)
    web = ingress("web", rule({"/": "app:80"}), timeout="200ms")
    gateway.serve(web, service("app"), app.slice("app"))
    assert gateway.get().status == 504


def test_idle_timeout(gateway: Gateway, echo: MakeEcho) -> None:
    """A request on which nothing moves for too long is answered 504; one that takes long in all is not."""

    def late(path: str) -> int:
        time.sleep(2 if path == "/hangs" else 0)
        return 200

    web = ingress("web", rule({"/": "app:80"}), idle_timeout="500ms")
    gateway.serve(web, service("app"), echo("app", answer=late).slice("app"))
    assert gateway.get("/hangs").status == 504
    assert gateway.get("/").by == "app"


def test_an_unreadable_annotation_changes_nothing_else(gateway: Gateway, echo: MakeEcho) -> None:
    """What cannot be read counts as absent; the rest of the Ingress is served."""
    serve(gateway, echo, rule({"/": "app:80"}), timeout="soon", retires="3", rewrite_prefix="/v1")
    assert gateway.get("/x").seen["path"] == "/v1/x"
