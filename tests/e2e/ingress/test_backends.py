"""Where requests end up: ports, endpoints and their conditions, protocols, retries, as a real Envoy does it."""

from __future__ import annotations

import ipaddress
import ssl
import tempfile
import threading
import time
from collections import Counter
from concurrent import futures
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import pytest

from nodegate.model.objects import (
    EndpointConditions,
    EndpointSlice,
    HTTPIngressPath,
    HTTPIngressRuleValue,
    IngressBackend,
    IngressRule,
    ServicePort,
    ServiceSpec,
    TypedLocalObjectReference,
)
from nodegate.snapshot.facts import NodeFacts
from tests.certificates import Pair, authority, pair
from tests.e2e.ingress.conftest import MakeEcho
from tests.e2e.ingress.gateway import Gateway
from tests.e2e.ingress.grpc_echo import GrpcEcho
from tests.e2e.rig.addresses import free_port
from tests.e2e.rig.backend import Backends
from tests.unit.translate.objects import NOT_READY, TERMINATING, at, endpoints, ingress, rule, secret, service

WEB = ingress("web", rule({"/": "app:80"}))


def test_ports_by_name_and_by_number_are_one(gateway: Gateway, echo: MakeEcho) -> None:
    """A name is the Service port's, never the container's; each slice has its own number for it (ingress.md 21, 22)."""
    one, two = echo("one"), echo("two")
    slices = [backend.slice("app", port_name="http") for backend in (one, two)]  # on different port numbers
    web = ingress("web", rule({"/name": "app:http", "/number": "app:80"}))
    gateway.serve(web, service("app", ("http", 80), ("other", 81)), *slices)
    for path in ("/name", "/number"):
        assert {gateway.get(path).by for _ in range(20)} == {"one", "two"}
    assert set(gateway.stats(r"^cluster\..*\.membership_total$")) == {"cluster.default/app/80.membership_total"}


def test_what_is_missing_answers_503_and_leaks_nowhere(gateway: Gateway, echo: MakeEcho) -> None:
    """A missing Service or port, or no endpoint: 503 at once, not the shorter path's backend (ingress.md 29, 30)."""
    bucket = IngressBackend(resource=TypedLocalObjectReference("Bucket", "static"))
    resource = IngressRule("", HTTPIngressRuleValue((HTTPIngressPath("Prefix", bucket, "/resource"),)))
    paths = {"/": "app:80", "/missing": "gone:80", "/port": "app:81", "/empty": "empty:80", "/by-name": "app:nope"}
    web = ingress("web", rule(paths), resource)
    gateway.serve(web, service("app"), service("empty"), echo("app").slice("app"))
    for path in ("/missing", "/port", "/empty", "/by-name", "/resource"):
        started = time.monotonic()
        assert gateway.get(path).status == 503, path
        assert time.monotonic() - started < 1
    assert gateway.get("/").by == "app"


def test_ready_endpoints_take_all_requests(gateway: Gateway, echo: MakeEcho) -> None:
    """Terminating endpoints get no new request while one is ready; not ready ones never (ingress.md 24, 25)."""
    slices = [
        echo("ready").slice("app", EndpointConditions()),  # nothing said is ready
        echo("terminating").slice("app", TERMINATING),
        echo("not ready").slice("app", NOT_READY),
    ]
    gateway.serve(WEB, service("app"), *slices)
    assert {gateway.get().by for _ in range(30)} == {"ready"}


def test_terminating_endpoints_serve_when_none_is_ready(gateway: Gateway, echo: MakeEcho) -> None:
    """The last Pods of a Service answer until they are gone (ingress.md 25)."""
    slices = [echo("terminating").slice("app", TERMINATING), echo("not ready").slice("app", NOT_READY)]
    gateway.serve(WEB, service("app"), *slices)
    assert {gateway.get().by for _ in range(10)} == {"terminating"}


def test_two_families_are_one_set_of_endpoints(gateway: Gateway, echo: MakeEcho) -> None:
    """IPv4 and IPv6 slices of a dual-stack Service name the same Pods: one family is used (ingress.md 26)."""
    app = echo("app")
    other = endpoints("app", "fd00::dead", port=app.port, address_type="IPv6", name="app-v6")
    gateway.serve(WEB, service("app"), app.slice("app"), other)
    assert [gateway.get().by for _ in range(10)] == ["app"] * 10
    assert gateway.stats(r"default/app/80\.membership_total") == {"cluster.default/app/80.membership_total": 1}


def test_a_dead_endpoint_is_not_noticed(gateway: Gateway, echo: MakeEcho) -> None:
    """A refused connection is retried on another endpoint (ingress.md 43)."""
    dead = endpoints("app", "127.0.0.1", port=free_port(), name="app-dead")
    gateway.serve(WEB, service("app"), dead, echo("app").slice("app"))
    assert [gateway.get().status for _ in range(30)] == [200] * 30
    assert gateway.stats(r"default/app/80\.upstream_rq_retry$")["cluster.default/app/80.upstream_rq_retry"] > 0


def test_a_service_can_do_without_retries(gateway: Gateway, echo: MakeEcho) -> None:
    """Who counts every request says so of the Service; then a dead endpoint is noticed (ingress.md 43)."""
    dead = endpoints("app", "127.0.0.1", port=free_port(), name="app-dead")
    gateway.serve(WEB, service("app", retries="0"), dead, echo("app").slice("app"))
    assert {gateway.get().status for _ in range(30)} == {200, 503}
    assert gateway.stats(r"default/app/80\.upstream_rq_retry$")["cluster.default/app/80.upstream_rq_retry"] == 0


def test_a_request_that_reached_an_application_is_not_repeated(gateway: Gateway, echo: MakeEcho) -> None:
    """An answer of 500 or 503 is the application's own: it is passed on, not retried (ingress.md 43)."""
    app = echo("app", answer=lambda _: 503)
    gateway.serve(WEB, service("app"), app.slice("app"))
    assert gateway.get("/once", method="POST", body=b"x").status == 503
    assert app.requests == ["/once"]


@pytest.mark.parametrize(
    "spec_and_annotations",
    [(ServiceSpec(session_affinity="ClientIP"), {}), (None, {"affinity": "client-ip"})],
    ids=["sessionAffinity", "annotation"],
)
def test_client_affinity(gateway: Gateway, echo: MakeEcho, spec_and_annotations: tuple[Any, dict[str, str]]) -> None:
    """A client reaches the same endpoint again (ingress.md 32)."""
    spec, annotations = spec_and_annotations
    slices = [echo(name).slice("app") for name in ("one", "two", "three")]
    gateway.serve(WEB, service("app", spec=spec, **annotations), *slices)
    assert len({gateway.get().by for _ in range(20)}) == 1


def test_cookie_affinity(gateway: Gateway, echo: MakeEcho) -> None:
    """A client with the cookie that Envoy set reaches the same endpoint; those without are spread (ingress.md 32)."""
    slices = [echo(name).slice("app") for name in ("one", "two", "three")]
    gateway.serve(WEB, service("app", affinity="cookie:session"), *slices)
    first = gateway.get()
    cookie = first.headers["set-cookie"].partition(";")[0]
    assert cookie.startswith("session=")
    assert {gateway.get(headers={"cookie": cookie}).by for _ in range(20)} == {first.by}
    assert len({gateway.get(headers={"cookie": f"session={n}"}).by for n in range(50)}) > 1


def near_and_far(near: int, far: int) -> list[EndpointSlice]:
    """Return two slices of a Service ``app``: an endpoint on node-1 and one on node-2, by their ports."""
    return [
        endpoints("app", at("127.0.0.1", node=node, zone="zone-a"), port=port, name=f"app-{node}")
        for node, port in (("node-1", near), ("node-2", far))
    ]


def test_endpoints_of_the_same_node_first(gateway: Gateway, echo: MakeEcho) -> None:
    """Requests stay on the node while it has an endpoint, where the Service asks for it (DESIGN 2.2)."""
    slices = near_and_far(echo("near").port, echo("far").port)
    gateway.serve(WEB, service("app", locality="node"), *slices, facts=NodeFacts(node="node-1", zone="zone-a"))
    assert {gateway.get().by for _ in range(30)} == {"near"}


def test_a_dead_endpoint_nearby_is_not_noticed(gateway: Gateway, echo: MakeEcho) -> None:
    """What is refused on the node is tried elsewhere (ingress.md 43)."""
    slices = near_and_far(free_port(), echo("far").port)
    gateway.serve(WEB, service("app", locality="node"), *slices, facts=NodeFacts(node="node-1", zone="zone-a"))
    assert [gateway.get().by for _ in range(20)] == ["far"] * 20


def test_canary(gateway: Gateway, echo: MakeEcho) -> None:
    """A share of the requests for one Service goes to another, on the same port (issue 5)."""
    web = ingress("web", rule({"/": "app:80", "/other": "other:80"}), canary="app=next:50")
    names = ("app", "next", "other")
    gateway.serve(web, *map(service, names), *(echo(name).slice(name) for name in names))
    counted = Counter(gateway.get().by for _ in range(60))
    assert counted.keys() == {"app", "next"}
    assert counted["next"] > 10
    assert {gateway.get("/other").by for _ in range(10)} == {"other"}


@pytest.mark.parametrize(
    "app",
    [
        service("app", ServicePort(80, app_protocol="kubernetes.io/h2c")),
        service("app", ServicePort(80, app_protocol="grpc")),
        service("app", protocol="h2c"),
    ],
    ids=["h2c", "grpc", "annotation"],
)
def test_grpc(gateway: Gateway, app: Any) -> None:
    """A gRPC call takes HTTP/2 on both sides, which the Service's port asks for (ingress.md 33, 43)."""
    backend = GrpcEcho()
    gateway.serve(WEB, app, endpoints("app", "127.0.0.1", port=backend.port))
    with grpc.insecure_channel(f"127.0.0.1:{gateway.ports['default/web/http']}") as channel:
        assert channel.unary_unary("/any.Service/Method")(b"hello", timeout=5) == b"echo hello"
    backend.server.stop(None).wait()


def test_http1_is_spoken_unless_said_otherwise(gateway: Gateway, echo: MakeEcho) -> None:
    """A client's HTTP/2 does not force it on an application (ingress.md 33)."""
    app = echo("app")
    gateway.serve(WEB, service("app"), app.slice("app"))
    address = f"127.0.0.1:{gateway.ports['default/web/http']}"
    with grpc.insecure_channel(address) as http2_client, pytest.raises(grpc.RpcError):
        http2_client.unary_unary("/any.Service/Method")(b"hello", timeout=5)
    assert app.requests == ["/any.Service/Method"]


def server_context(made: Pair) -> ssl.SSLContext:
    """Return the TLS side of a backend with this certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as folder:
        certificate, key = Path(folder, "crt"), Path(folder, "key")
        certificate.write_bytes(made.certificate)
        key.write_bytes(made.key)
        context.load_cert_chain(certificate, key)
    return context


def test_endpoints_are_verified(gateway: Gateway, echo: MakeEcho) -> None:
    """Upstream TLS checks authority and name where the Service says them; without, it only encrypts (issue 5)."""
    right = echo("right", tls=server_context(pair("web.internal")))
    web = ingress(
        "web", rule({"/named": "named:443", "/other": "other:443", "/blind": "blind:443", "/no-ca": "no:443"})
    )
    port = ServicePort(443, app_protocol="https")
    gateway.serve(
        web,
        secret("ca", {"ca.crt": authority().pem}),
        service("named", port, upstream_ca="ca", upstream_name="web.internal"),
        service("other", port, upstream_ca="ca", upstream_name="other.internal"),
        service("blind", port),
        service("no", port, upstream_ca="missing", upstream_name="web.internal"),
        *(right.slice(name) for name in ("named", "other", "blind", "no")),
    )
    assert gateway.get("/named").by == "right"
    assert gateway.get("/blind").by == "right"
    assert gateway.get("/other").status == 503
    assert gateway.get("/no-ca").status == 503
    assert "/no-ca" not in right.requests


async def test_websockets_need_no_annotation(gateway: Gateway, tmp_path: Path) -> None:
    """An upgrade to WebSocket goes through on every route, also where request bodies are limited (ingress.md 42)."""
    backends = Backends({"app": ("127.0.0.1", free_port())}, tmp_path / "backends.log")
    host, port = backends["app"]
    web = ingress("web", rule({"/": "app:80"}), max_body_size="1k")
    gateway.serve(web, service("app"), endpoints("app", host, port=port))
    url = f"http://127.0.0.1:{gateway.ports['default/web/http']}/ws"
    async with aiohttp.ClientSession() as session, session.ws_connect(url) as socket:
        for text in ("one", "two" * 1000):
            await socket.send_str(text)
            assert await socket.receive_str(timeout=5) == text
    backends.stop()


def test_what_a_client_says_of_itself_is_not_believed(gateway: Gateway, echo: MakeEcho) -> None:
    """The client's address is that of its connection; Envoy's own headers cannot be forged (ingress.md 44)."""
    gateway.serve(WEB, service("app"), echo("app").slice("app"))
    forged = {"x-forwarded-for": "1.2.3.4", "x-envoy-retry-on": "5xx", "x_user": "root"}
    answer = gateway.get(headers=forged)
    seen = answer.seen["headers"]
    claimed, _, added = seen["x-forwarded-for"].rpartition(",")
    assert claimed == "1.2.3.4"
    ipaddress.ip_address(added)  # Envoy's own address, as the client's is a loopback one
    assert seen["x-forwarded-proto"] == "http"
    assert "x-envoy-retry-on" not in seen
    assert "x_user" not in seen  # which many applications take for x-user (ingress.md 45)
    assert seen["x-request-id"]
    assert answer.headers["server"] == "envoy"


def test_a_request_without_end_does_not_keep_others_waiting(gateway: Gateway, echo: MakeEcho) -> None:
    """A request may take as long as it moves: no route has a timeout of its own (ingress.md 43)."""
    held = threading.Event()
    slow = echo("slow", answer=lambda _: 200 if held.wait(10) else 500)
    web = ingress("web", rule({"/slow": "slow:80", "/": "app:80"}))
    gateway.serve(web, service("app"), service("slow"), slow.slice("slow"), echo("app").slice("app"))
    with futures.ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(gateway.get, "/slow")
        assert gateway.get("/").by == "app"
        held.set()
        assert waiting.result().by == "slow"
