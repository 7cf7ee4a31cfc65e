"""TLS in front of a real Envoy: which certificate is shown, which requests are misdirected, what plain HTTP gets."""

from __future__ import annotations

import http.client
import ssl

import grpc
import pytest
from cryptography import x509

from nodegate.model.objects import Ingress, Object
from nodegate.translate.settings import KeyPair, ListenerMode, Settings
from tests.certificates import authority, pair
from tests.e2e.ingress.conftest import MakeEcho
from tests.e2e.ingress.gateway import Answer, Gateway
from tests.e2e.ingress.grpc_echo import GrpcEcho
from tests.unit.translate.objects import endpoints, ingress, rule, secret, service, tls

FALLBACK = pair("nodegate.invalid")
SETTINGS = Settings(self_signed=KeyPair(FALLBACK.certificate, FALLBACK.key))
A, B, WILD = pair("a.example"), pair("b.example"), pair("*.w.example")
SECRETS = (secret("a", A.data), secret("b", B.data), secret("wild", WILD.data))
WEB = ingress(
    "web",
    rule({"/": "app:80"}, "a.example"),
    rule({"/": "app:80"}, "b.example"),
    rule({"/": "app:80"}, "*.w.example"),
    rule({"/": "app:80"}, "plain.example"),
    rule({"/any": "app:80"}),
    tls=(tls("a", "a.example"), tls("b", "b.example", "only.example"), tls("wild", "*.w.example")),
)


def shown(answer: Answer) -> str:
    """Return the first name of the certificate that was shown."""
    names = x509.load_der_x509_certificate(answer.certificate).extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    )
    return names.value.get_values_for_type(x509.DNSName)[0]


def serve(gateway: Gateway, echo: MakeEcho, *objects: Object, settings: Settings = SETTINGS) -> None:
    """Serve these objects and a Service ``app``."""
    gateway.serve(*objects, service("app"), echo("app").slice("app"), settings=settings)


def test_the_name_a_client_asks_for_chooses_the_certificate(gateway: Gateway, echo: MakeEcho) -> None:
    """SNI chooses the filter chain; names without one get the default certificate, which has a SAN (34, 37, 38)."""
    serve(gateway, echo, *SECRETS, WEB)
    expected = {
        "a.example": "a.example",
        "b.example": "b.example",
        "x.w.example": "*.w.example",
        "plain.example": "nodegate.invalid",
    }
    for host, certificate in expected.items():
        answer = gateway.get_tls(host=host)
        assert (answer.by, shown(answer)) == ("app", certificate)
    only = gateway.get_tls("/any", host="only.example")  # in tls, but in no rule (ingress.md 38)
    assert (only.by, shown(only)) == ("app", "b.example")
    assert gateway.get_tls("/", host="only.example").status == 404


def test_a_request_for_another_host_than_the_connection_is_for(gateway: Gateway, echo: MakeEcho) -> None:
    """It is misdirected (421), whatever headers the client forges; without SNI it is served (ingress.md 34, 45)."""
    serve(gateway, echo, *SECRETS, WEB)
    misdirected = [("a.example", "b.example"), ("plain.example", "a.example"), ("a.example", "x.w.example")]
    misdirected += [("other.example", "a.example"), ("a.example", "plain.example")]
    for sni, host in misdirected:
        assert gateway.get_tls(host=host, sni=sni).status == 421, (sni, host)
        forged = {"x-nodegate-chain": "default/a", "x-nodegate-sni": ""}
        assert gateway.get_tls(host=host, sni=sni, headers=forged).status == 421, (sni, host)
    assert gateway.get_tls(host="a.example", sni=None).by == "app"
    headers = gateway.get_tls(host="a.example").seen["headers"]
    assert not [name for name in headers if name.startswith("x-nodegate")]
    assert headers["x-forwarded-proto"] == "https"


def test_an_http2_connection_is_not_used_for_another_host_of_its_certificate(gateway: Gateway) -> None:
    """A wildcard certificate would let clients reuse a connection for a host with its own (ingress.md 34, 45).

    Envoy puts its 421 into gRPC's terms for them, as a call without a status; no application sees the request.
    """
    hosts = [rule({"/": "app:80"}, host) for host in ("*.w.example", "own.w.example")]
    web = ingress("web", *hosts, tls=(tls("wild", "*.w.example"), tls("own", "own.w.example")))
    backend = GrpcEcho()
    app = endpoints("app", "127.0.0.1", port=backend.port)
    own = secret("own", pair("own.w.example").data)
    gateway.serve(web, secret("wild", WILD.data), own, service("app", protocol="h2c"), app, settings=SETTINGS)

    def call(host: str) -> bytes:
        names = {"grpc.ssl_target_name_override": "x.w.example", "grpc.default_authority": host}
        trusted = grpc.ssl_channel_credentials(authority().pem)
        address = f"127.0.0.1:{gateway.ports['default/web/https']}"
        with grpc.secure_channel(address, trusted, list(names.items())) as channel:
            answer: bytes = channel.unary_unary("/any.Service/Method")(b"hello", timeout=5)
            return answer

    for host in ("x.w.example", "y.w.example"):
        assert call(host) == b"echo hello"
    with pytest.raises(grpc.RpcError) as refused:
        call("own.w.example")
    assert refused.value.code() is grpc.StatusCode.UNKNOWN
    requests = "cluster.default/app/80.upstream_rq_total"
    assert gateway.stats(r"default/app/80\.upstream_rq_total$") == {requests: 2}
    backend.server.stop(None).wait()


def test_without_a_default_certificate_unknown_names_are_refused(gateway: Gateway, echo: MakeEcho) -> None:
    """No certificate is shown to whom none is meant for, where the operator set no default (ingress.md 37)."""
    serve(gateway, echo, *SECRETS, WEB, settings=Settings())
    assert gateway.get_tls(host="a.example").by == "app"
    with pytest.raises((ssl.SSLError, ConnectionError)):
        gateway.get_tls(host="plain.example")


def test_http2_is_offered(gateway: Gateway, echo: MakeEcho) -> None:
    """Clients that know HTTP/2 get it by ALPN, others HTTP/1.1 (ingress.md 34); nothing below TLS 1.2 is spoken."""
    serve(gateway, echo, *SECRETS, WEB)
    for offered, chosen in ((["h2", "http/1.1"], "h2"), (["http/1.1"], "http/1.1")):
        with gateway.connect_tls("a.example", alpn=offered) as connection:
            assert connection.selected_alpn_protocol() == chosen
            assert connection.version() in {"TLSv1.2", "TLSv1.3"}


def test_tls_without_hosts_is_for_all_hosts_of_the_ingress(gateway: Gateway, echo: MakeEcho) -> None:
    """``tls`` without ``hosts`` means all hosts of the Ingress, and its default certificate (ingress.md 37)."""
    web = ingress("web", rule({"/": "app:80"}, "a.example"), rule({"/": "app:80"}), tls=(tls("a"),))
    serve(gateway, echo, *SECRETS, web)
    for host in ("a.example", "whatever.example"):
        answer = gateway.get_tls(host=host)
        assert (answer.by, shown(answer)) == ("app", "a.example")


def test_a_bad_secret_harms_only_its_own_hosts(gateway: Gateway, echo: MakeEcho) -> None:
    """A key that does not match never reaches Envoy: its host gets the default certificate (ingress.md 35)."""
    mixed = secret("b", {"tls.crt": B.certificate, "tls.key": A.key})
    serve(gateway, echo, SECRETS[0], mixed, WEB)
    assert shown(gateway.get_tls(host="a.example")) == "a.example"
    assert shown(gateway.get_tls(host="b.example")) == "nodegate.invalid"
    assert gateway.get_tls(host="b.example").by == "app"


def shared(name: str, host: str, secret_name: str, age: int) -> Ingress:
    """Return an Ingress for one host with TLS."""
    return ingress(name, rule({f"/{name}": "app:80"}, host), tls=(tls(secret_name, host),), age=age)


def test_the_older_of_two_certificates_is_served(gateway: Gateway, echo: MakeEcho) -> None:
    """Two Ingresses, one host, two Secrets: the older one's; a duplicate chain would be refused (ingress.md 36)."""
    young, old = shared("young", "a.example", "b", 2), shared("old", "a.example", "a", 1)
    settings = Settings(listener_mode=ListenerMode.SHARED, self_signed=SETTINGS.self_signed)
    serve(gateway, echo, *SECRETS, young, old, settings=settings)
    for path in ("/young", "/old"):
        answer = gateway.get_tls(path, host="a.example", listener="shared/https")
        assert (answer.by, shown(answer)) == ("app", "a.example")


def test_plain_http_is_redirected_where_there_is_tls(gateway: Gateway, echo: MakeEcho) -> None:
    """Hosts with TLS redirect, but for ACME challenges; others are served in plain (ingress.md 39, 40)."""
    serve(gateway, echo, *SECRETS, WEB)
    answer = gateway.get("/x?y=1", "a.example")
    assert (answer.status, answer.headers["location"]) == (308, "https://a.example/x?y=1")
    assert gateway.get("/x", "x.w.example").status == 308
    assert gateway.get("/.well-known/acme-challenge/token", "a.example").by == "app"
    assert gateway.get("/.well-known/acme-challengex", "a.example").status == 308
    assert gateway.get("/", "plain.example").by == "app"
    assert gateway.get("/any", "other.example").by == "app"


def test_the_redirect_can_be_turned_off(gateway: Gateway, echo: MakeEcho) -> None:
    """With ``ssl-redirect: false`` a host with TLS is served on port 80 as well (ingress.md 40)."""
    web = ingress("web", rule({"/": "app:80"}, "a.example"), tls=(tls("a", "a.example"),), ssl_redirect="false")
    serve(gateway, echo, *SECRETS, web)
    assert gateway.get(host="a.example").by == "app"
    assert gateway.get_tls(host="a.example").by == "app"


def test_plain_http_can_be_closed(gateway: Gateway, echo: MakeEcho) -> None:
    """``kubernetes.io/ingress.allow-http: "false"`` leaves nothing on port 80 (ingress.md 40)."""
    web = ingress("web", rule({"/": "app:80"}, "a.example"), tls=(tls("a", "a.example"),))
    web.metadata.annotations["kubernetes.io/ingress.allow-http"] = "false"
    serve(gateway, echo, *SECRETS, web)
    assert gateway.get(host="a.example").status == 404
    assert gateway.get_tls(host="a.example").by == "app"


def test_plain_text_on_the_tls_port_is_refused(gateway: Gateway, echo: MakeEcho) -> None:
    """A filter chain is for TLS connections only (ingress.md 34)."""
    serve(gateway, echo, *SECRETS, WEB)
    with pytest.raises((ConnectionError, http.client.HTTPException)):
        gateway.get(port=gateway.ports["default/web/https"])
