"""The debug pages of a whole control plane."""

from __future__ import annotations

import re
from pathlib import Path

import grpc.aio
import pytest
from envoy.extensions.transport_sockets.tls.v3.secret_pb2 import Secret
from envoy.service.discovery.v3.discovery_pb2 import DeltaDiscoveryRequest

from nodegate.debug.plain import plain_resource
from nodegate.debug.shell import ROWS, duration
from nodegate.snapshot.resource import Resource
from nodegate.snapshot.type_urls import CLUSTER, ROUTE, SECRET
from tests.unit.debug.plane import BROKEN, METHOD, SECRET_WORD, SHOP, TLS_SECRET, plane, proxy

LISTS = ("/debug/", "/debug/objects", "/debug/target", "/debug/problems", "/debug/proxies")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "manifests"
    made.mkdir()
    (made / "shop.yaml").write_text(SHOP)
    return made


async def test_people_get_html_and_programs_get_the_same_as_json(folder: Path) -> None:
    """HTML for people, ``?format=json`` for programs."""
    async with plane(folder) as p:
        for path in LISTS:
            status, text, headers = await p.page(path)
            assert status == 200
            assert headers["Content-Type"].startswith("text/html")
            assert text.startswith("<!doctype html>")
            assert isinstance(await p.json(path), dict)
        _, text, headers = await p.page("/debug/target", Accept="application/json")
        assert headers["Content-Type"].startswith("application/json")


async def test_the_overview_says_whether_all_is_well(folder: Path) -> None:
    """The first page answers the first question."""
    async with plane(folder) as p:
        data = await p.json("/debug/")
        assert data["ready"]
        assert data["objects"] == {"EndpointSlice": 1, "Ingress": 1, "IngressClass": 1, "Service": 1}
        assert data["resources"]["listener"] == 1
        assert list(data["listeners"]) == ["shop/web/http"]
        assert data["problems"]["error"] == 0


async def test_every_object_is_listed_with_what_was_made_from_it(folder: Path) -> None:
    """From an object one gets to its resources."""
    async with plane(folder) as p:
        listed = (await p.json("/debug/objects"))["objects"]
        assert {"kind": "Ingress", "namespace": "shop", "name": "web", "problems": 0} in listed
        ingress = await p.json("/debug/objects/Ingress/shop/web")
        assert ingress["object"]["spec"]["ingressClassName"] == "nodegate"
        assert {"type": "route", "name": "shop/web/http"} in ingress["resources"]
        assert (await p.json("/debug/objects/IngressClass/nodegate"))["object"]["metadata"]["name"] == "nodegate"


async def test_every_resource_is_shown_as_json_with_the_objects_that_caused_it(folder: Path) -> None:
    """From a resource one gets to its objects, and to the resources it names."""
    async with plane(folder) as p:
        route = await p.json("/debug/resources/route/shop/web/http")
        assert route["resource"]["name"] == "shop/web/http"
        assert {"kind": "Ingress", "namespace": "shop", "name": "web"} in route["causes"]
        assert {"type": "cluster", "name": "shop/web/80"} in route["refs"]
        for one in (await p.json("/debug/target"))["resources"]:
            status, text, _ = await p.page(f"/debug/resources/{one['type']}/{one['name']}")
            assert status == 200
            assert one["name"] in text


async def test_a_listener_is_shown_as_the_asked_for_proxy_gets_it(folder: Path) -> None:
    """What depends on the client's facts can be seen with any facts (DESIGN 2.2)."""
    async with plane(folder) as p, proxy(p.running, "n1"):
        (listener,) = (await p.json("/debug/target?type=listener"))["resources"]
        path = f"/debug/resources/listener/{listener['name']}"
        assert (await p.json(f"{path}?transparent=1"))["resource"].get("transparent") is True
        plain = await p.json(path)
        assert plain["resource"].get("transparent", False) is False
        await p.until("/debug/proxies", lambda data: data["proxies"])
        assert [one["node_id"] for one in (await p.json(path))["proxies"]] == ["n1"]


@pytest.mark.parametrize(
    "path",
    [
        "/debug/objects/Ingress/shop/nothing",
        "/debug/objects/Nonsense/a/b",
        "/debug/resources/cluster/nothing",
        "/debug/resources/nonsense/x",
    ],
)
async def test_what_does_not_exist_is_a_404_that_says_so(folder: Path, path: str) -> None:
    """For people and for programs."""
    async with plane(folder) as p:
        status, text, _ = await p.page(path)
        assert status == 404
        assert "There is no" in text
        assert "There is no" in (await p.json(path))["error"]


async def test_problems_have_their_sentence_and_remedy_and_nothing_in_them_is_html(folder: Path) -> None:
    """Text of an object is shown as text, whatever is in it."""
    (folder / "broken.yaml").write_text(BROKEN)
    async with plane(folder) as p:
        (problem,) = (await p.json("/debug/problems"))["problems"]
        assert "<b>bold</b>" in problem["message"]
        _, text, _ = await p.page("/debug/problems")
        assert "&lt;b&gt;bold&lt;/b&gt;" in text
        assert "<b>bold" not in text
        _, text, _ = await p.page('/debug/objects?q="><script>x</script>')
        assert "<script" not in text


async def test_private_keys_are_on_no_page_in_no_form(folder: Path) -> None:
    """Of a Secret only the names of its keys are shown."""
    (folder / "secret.yaml").write_text(TLS_SECRET)
    async with plane(folder) as p:
        data = await p.json("/debug/objects/Secret/shop/keys")
        assert data["object"]["data"] == {"tls.crt": "[redacted]", "tls.key": "[redacted]"}
        for path in (*LISTS, "/debug/objects/Secret/shop/keys"):
            for form in ("", "?format=json"):
                _, text, _ = await p.page(path + form)
                assert SECRET_WORD not in text
                assert "secret-sauce" not in text


def test_a_secret_resource_shows_its_certificate_and_not_its_key() -> None:
    """What the Envoy API marks as sensitive is replaced, at any depth."""
    secret = Secret(name="shop/keys")
    secret.tls_certificate.certificate_chain.inline_string = "CERTIFICATE"
    secret.tls_certificate.private_key.inline_string = "KEY"
    secret.tls_certificate.password.inline_bytes = b"KEY"
    plain = str(plain_resource(Resource(SECRET, "shop/keys", secret.SerializeToString())))
    assert "CERTIFICATE" in plain
    assert "KEY" not in plain
    assert "[redacted]" in plain

    tickets = Secret(name="tickets")
    tickets.session_ticket_keys.keys.add().inline_string = "KEY"
    tickets.generic_secret.secret.filename = ""
    assert "KEY" not in str(plain_resource(Resource(SECRET, "tickets", tickets.SerializeToString())))


async def test_a_connected_proxy_is_shown_with_its_versions(folder: Path) -> None:
    """Sent and acknowledged version per type, and the node's facts."""
    async with plane(folder) as p, proxy(p.running, "n1"):
        data = await p.until("/debug/", lambda data: data["proxies_synced"] == 1)
        assert data["proxies"] == 1
        (client,) = (await p.json("/debug/proxies"))["proxies"]
        assert (client["node_id"], client["facts"]["node"], client["variant"]) == ("n1", "n1", "delta")
        assert [one["type"] for one in client["types"]] == ["cluster", "endpoint", "listener", "route"]
        for one in client["types"]:
            assert one["sent_version"] == one["acked_version"] != ""
        _, text, _ = await p.page("/debug/proxies")
        assert "in sync" in text


async def test_what_a_proxy_rejects_is_shown_in_its_words_with_the_object_that_caused_it(folder: Path) -> None:
    """A NACK is for people: on the proxy, and as a problem of the Ingress (DESIGN 2, quarantine)."""
    async with plane(folder) as p, proxy(p.running, "n1"), proxy(p.running, "n2", {"shop/web/http": "no such thing"}):
        data = await p.until("/debug/problems", lambda data: data["problems"])
        problem = data["problems"][0]
        assert (problem["kind"], problem["name"]) == ("Ingress", "web")
        assert "no such thing" in problem["message"]
        clients = (await p.json("/debug/proxies"))["proxies"]
        assert "no such thing" in str([client for client in clients if client["node_id"] == "n2"])
        _, text, _ = await p.page("/debug/proxies")
        assert "no such thing" in text


async def test_what_a_proxy_waits_for_is_shown(folder: Path) -> None:
    """One that acknowledges no clusters is sent no routes to them yet (xds-protocol 42)."""
    async with plane(folder) as p, grpc.aio.insecure_channel(str(p.running.xds_address)) as channel:
        call = channel.stream_stream(METHOD, request_serializer=DeltaDiscoveryRequest.SerializeToString)()
        for type_url, names in ((CLUSTER, []), (ROUTE, ["shop/web/http"])):
            request = DeltaDiscoveryRequest(type_url=type_url, resource_names_subscribe=names)
            request.node.id = "n1"
            await call.write(request)
        sentence = "shop/web/http waits until the client has acknowledged cluster shop/web/80"
        await p.until("/debug/proxies", lambda data: sentence in str(data))
        types = {one["type"]: one for one in (await p.json("/debug/proxies"))["proxies"][0]["types"]}
        assert types["route"]["waiting"] == [sentence]
        assert not types["route"]["synced"]
        assert f"route: {sentence}" in (await p.page("/debug/proxies"))[1]
        assert (await p.json("/debug/"))["proxies_synced"] == 0


async def test_a_list_can_be_filtered_and_a_long_one_is_cut_for_people_only(folder: Path) -> None:
    """Ten thousand rows help nobody; a program gets them all."""
    many = [f"{{apiVersion: v1, kind: Namespace, metadata: {{name: many-{n}}}}}" for n in range(ROWS + 50)]
    (folder / "many.yaml").write_text("\n---\n".join(many))
    async with plane(folder) as p:
        _, text, _ = await p.page("/debug/objects")
        assert f"The first {ROWS} of {ROWS + 54} are shown" in text
        assert len((await p.json("/debug/objects"))["objects"]) == ROWS + 54
        found = (await p.json("/debug/objects?q=MANY-54"))["objects"]
        assert {one["name"] for one in found} == {"many-54", *(f"many-54{n}" for n in range(10))}


@pytest.mark.parametrize("host", ["rebound.example", "evil.localhost.example", "127.0.0.1.nip.io"])
async def test_a_foreign_host_name_is_refused(folder: Path, host: str) -> None:
    """A web site whose name was pointed at this address must not read the pages (DNS rebinding)."""
    async with plane(folder) as p:
        status, text, _ = await p.page("/debug/", Host=host)
        assert status == 403
        assert "shop" not in text


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:9903", "[::1]:9903", "192.0.2.7"])
async def test_an_address_or_localhost_is_accepted(folder: Path, host: str) -> None:
    """An IP address cannot be rebound."""
    async with plane(folder) as p:
        status, _, _ = await p.page("/debug/", Host=host)
        assert status == 200


async def test_pages_need_nothing_from_elsewhere_and_run_no_script(folder: Path) -> None:
    """They work on a machine without any network, and the browser is told to load nothing."""
    async with plane(folder) as p:
        for path in LISTS:
            _, text, headers = await p.page(path)
            assert re.findall(r'(?:src|href)="(?!/debug/)[^"]*"', text) == []
            assert "<script" not in text
            assert "default-src 'none'" in headers["Content-Security-Policy"]
            assert headers["Cache-Control"] == "no-store"


async def test_pages_are_for_reading_only(folder: Path) -> None:
    """All methods but GET and HEAD are refused."""
    async with plane(folder) as p:
        for method in ("POST", "PUT", "DELETE", "PATCH"):
            async with p._http.request(method, f"http://{p.running.debug_address}/debug/") as answer:
                assert answer.status == 405


@pytest.mark.parametrize(
    ("seconds", "text"), [(-1, "0 s"), (0.4, "0 s"), (119, "119 s"), (120, "2 min"), (7200, "2 h"), (172_800, "2 d")]
)
def test_time_spans_are_said_in_the_largest_unit_that_fits(seconds: float, text: str) -> None:
    """As kubectl does."""
    assert duration(seconds) == text
