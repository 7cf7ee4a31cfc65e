"""Listeners: shared and dedicated, on the node's own ports, behind other proxies, on both families of addresses."""

from __future__ import annotations

import json
import socket

import pytest

from nodegate.model.objects import Metadata, Namespace, NamespaceStatus, Object
from nodegate.translate.settings import Expose, Families, KeyPair, ListenerMode, Settings
from tests.certificates import pair
from tests.e2e.ingress.conftest import MakeEcho
from tests.e2e.ingress.gateway import Gateway
from tests.e2e.rig.addresses import free_port
from tests.unit.translate.objects import ingress, ingress_class, rule, secret, service, tls

FALLBACK = pair("nodegate.invalid")
OWN = KeyPair(FALLBACK.certificate, FALLBACK.key)
SHARED = Settings(listener_mode=ListenerMode.SHARED, self_signed=OWN)
WEB = ingress("web", rule({"/": "app:80"}))


def test_hosts_of_many_ingresses_are_merged(gateway: Gateway, echo: MakeEcho) -> None:
    """Rules of several Ingresses for one host are one virtual host; the older wins a conflict (ingress.md 15, 16)."""
    names = ("old", "young", "rest")
    objects: list[Object] = [
        ingress("young", rule({"/": "young:80", "/young": "young:80"}, "a.example"), age=2),
        ingress("old", rule({"/": "old:80"}, "A.example"), age=1),
        ingress("rest", rule({"/": "rest:80"}), age=3),
        *map(service, names),
        *(echo(name).slice(name) for name in names),
    ]
    gateway.serve(*objects, settings=SHARED)
    cases = {("/", "a.example"): "old", ("/young", "a.example"): "young", ("/", "b.example"): "rest"}
    assert {case: gateway.get(*case, listener="shared/http").by for case in cases} == cases
    assert gateway.get_tls("/young", host="a.example", listener="shared/https").by == "young"


def test_who_is_served_is_said_by_class_and_namespace(gateway: Gateway, echo: MakeEcho) -> None:
    """What is on its way out wins nothing, though the oldest; other classes are others' (ingress.md 17, 18, 19)."""
    paths = {"/": "other:80", "/theirs": "other:80"}
    objects: list[Object] = [
        Namespace(Metadata("gone"), NamespaceStatus("Terminating")),
        ingress("web", rule(paths, "a.example"), namespace="gone", age=1),
        ingress_class("theirs", controller="example.com/other"),
        ingress("theirs", rule(paths, "a.example"), class_name="theirs", age=2),
        ingress("unknown", rule(paths, "a.example"), class_name="unknown", age=3),
        ingress("web", rule({"/": "app:80"}, "a.example"), age=4),
        *(service(name) for name in ("app", "other")),
        *(echo(name).slice(name) for name in ("app", "other")),
    ]
    gateway.serve(*objects, settings=SHARED)
    assert [gateway.get(path, "a.example", listener="shared/http").by for path in ("/", "/theirs")] == ["app", "app"]


def test_an_ingress_can_have_its_own_listeners_among_shared_ones(gateway: Gateway, echo: MakeEcho) -> None:
    """The annotation ``listener-mode`` decides for one Ingress (issue 5)."""
    apart = ingress("apart", rule({"/": "app:80"}, "a.example"), listener_mode="dedicated")
    gateway.serve(WEB, apart, service("app"), echo("app").slice("app"), settings=SHARED)
    assert sorted(gateway.ports) == ["default/apart/http", "shared/http", "shared/https"]
    assert gateway.get(host="a.example", listener="default/apart/http").by == "app"
    assert gateway.get(host="b.example", listener="default/apart/http").status == 404
    assert gateway.get(host="b.example", listener="shared/http").by == "app"


def test_expose_host(gateway: Gateway, echo: MakeEcho) -> None:
    """The shared listeners bind the node's ports and ask for none; redirects name the HTTPS port (DESIGN 7)."""
    plain, secure = free_port(), free_port()
    settings = Settings(
        listener_mode=ListenerMode.SHARED, expose=Expose.HOST, http_port=plain, https_port=secure, self_signed=OWN
    )
    one = pair("a.example")
    web = ingress("web", rule({"/": "app:80"}, "a.example"), rule({"/": "app:80"}), tls=(tls("one", "a.example"),))
    gateway.serve(web, secret("one", one.data), service("app"), echo("app").slice("app"), settings=settings)
    assert gateway.ports == {}
    assert gateway.get(port=plain).by == "app"
    assert gateway.get("/x", "a.example", port=plain).headers["location"] == f"https://a.example:{secure}/x"
    gateway.ports["https"] = secure
    assert gateway.get_tls(host="a.example", listener="https").by == "app"


@pytest.mark.parametrize(
    ("families", "answering"),
    [(Families.IPV4, ["127.0.0.1"]), (Families.IPV6, ["::1"]), (Families.DUAL, ["127.0.0.1", "::1"])],
)
def test_families(gateway: Gateway, echo: MakeEcho, families: Families, answering: list[str]) -> None:
    """Listeners bind IPv4, IPv6 or both (issue 5)."""
    with socket.socket(socket.AF_INET6) as probe:
        try:
            probe.bind(("::1", 0))
        except OSError:
            pytest.skip(
                "this machine has no IPv6 loopback address: enable IPv6 (sysctl net.ipv6.conf.lo.disable_ipv6=0)"
            )
    gateway.serve(WEB, service("app"), echo("app").slice("app"), settings=Settings(families=families))
    port = gateway.ports["default/web/http"]
    for address in ("127.0.0.1", "::1"):
        try:
            socket.create_connection((address, port), timeout=2).close()
            reached = True
        except OSError:
            reached = False
        assert reached == (address in answering)


def test_proxies_in_front_are_trusted_when_there_are_any(gateway: Gateway, echo: MakeEcho) -> None:
    """With one trusted hop the client's address is the last one that hop wrote (ingress.md 44)."""
    web = ingress("web", rule({"/": "app:80"}), allow_ranges="198.51.100.0/24")
    gateway.serve(web, service("app"), echo("app").slice("app"), settings=Settings(trusted_hops=1))
    assert gateway.get(headers={"x-forwarded-for": "198.51.100.7"}).status == 200
    assert gateway.get(headers={"x-forwarded-for": "198.51.100.7, 203.0.113.9"}).status == 403
    assert gateway.get().status == 403


def test_a_proxy_in_front_may_have_received_https(gateway: Gateway, echo: MakeEcho) -> None:
    """What a trusted proxy received over HTTPS is not redirected again; an untrusted claim is (ingress.md 39)."""
    made = pair("a.example")
    web = ingress("web", rule({"/": "app:80"}, "a.example"), tls=(tls("one", "a.example"),))
    objects = (web, secret("one", made.data), service("app"), echo("app").slice("app"))
    gateway.serve(*objects, settings=Settings(trusted_hops=1))
    assert gateway.get(host="a.example", headers={"x-forwarded-proto": "https"}).by == "app"
    assert gateway.get(host="a.example", headers={"x-forwarded-proto": "http"}).status == 308
    assert gateway.get(host="a.example").status == 308


def test_a_claim_of_https_is_not_believed_of_everybody(gateway: Gateway, echo: MakeEcho) -> None:
    """Without trusted proxies ``x-forwarded-proto`` says nothing (ingress.md 39, 44)."""
    web = ingress("web", rule({"/": "app:80"}, "a.example"), tls=(tls("one", "a.example"),))
    gateway.serve(web, secret("one", pair("a.example").data), service("app"), echo("app").slice("app"))
    assert gateway.get(host="a.example", headers={"x-forwarded-proto": "https"}).status == 308


def test_the_proxy_protocol(gateway: Gateway, echo: MakeEcho) -> None:
    """The client's address is the one in the PROXY header; without a header nobody is served (issue 5)."""
    web = ingress("web", rule({"/": "app:80"}), allow_ranges="198.51.100.0/24")
    gateway.serve(web, service("app"), echo("app").slice("app"), settings=Settings(proxy_protocol=True))
    port = gateway.ports["default/web/http"]
    for client, status in (("198.51.100.7", "200"), ("203.0.113.9", "403")):
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            connection.sendall(f"PROXY TCP4 {client} 192.0.2.1 1234 80\r\n".encode())
            connection.sendall(b"GET / HTTP/1.1\r\nhost: a.example\r\nconnection: close\r\n\r\n")
            assert connection.recv(100).split()[1].decode() == status
    with pytest.raises(OSError, match=r"reset|closed|Remote end"):
        gateway.get()


def test_the_access_log(gateway: Gateway, echo: MakeEcho) -> None:
    """One line of JSON for each request names the object and field that caused its route (issue 5)."""
    gateway.serve(WEB, service("app"), echo("app").slice("app"), settings=Settings(access_log=True))
    gateway.get("/x?y=1", "a.example", headers={"user-agent": 'a "quoted" one'})
    gateway.stop()  # what Envoy has buffered is written when it ends
    (line,) = [json.loads(line) for line in gateway.log().splitlines() if line.startswith("{")]
    assert line["cause"] == "Ingress/default/web:spec.rules[0].http.paths[0]"
    assert (line["host"], line["path"], line["status"]) == ("a.example", "/x?y=1", 200)
    assert line["user_agent"] == 'a "quoted" one'
