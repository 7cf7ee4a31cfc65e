"""A real Envoy on the static form of what translation makes: the shortest way from an Ingress to an HTTP answer."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nodegate.model.changes import Claimed, Upsert
from nodegate.model.objects import Object
from nodegate.snapshot.facts import NodeFacts
from nodegate.translate.index import Index
from nodegate.translate.settings import Settings
from nodegate.translate.static import static_configuration
from nodegate.translate.step import step
from tests.e2e.rig.addresses import free_port
from tests.e2e.rig.fetching import fetch
from tests.e2e.rig.processes import Child
from tests.e2e.rig.waiting import eventually
from tests.unit.translate.objects import ingress_class


@dataclass(frozen=True)
class Answer:
    """What came back. ``seen`` is the request as the backend saw it; empty when none did."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    certificate: bytes = b""

    @property
    def seen(self) -> dict[str, Any]:
        """What the backend that answered saw of the request."""
        try:
            decoded = json.loads(self.body)
        except ValueError:
            return {}
        return decoded if isinstance(decoded, dict) else {}

    @property
    def by(self) -> str:
        """The name of the backend that answered, or the status when Envoy itself did."""
        return str(self.seen.get("name", self.status))


class Gateway:
    """An Envoy that serves some objects. An IngressClass of ours is always among them."""

    def __init__(self, binary: Path, folder: Path) -> None:
        self._binary, self._folder = binary, folder
        self._admin = f"127.0.0.1:{free_port()}"
        self._child: Child | None = None
        self.ports: dict[str, int] = {}

    def serve(self, *objects: Object, settings: Settings | None = None, facts: NodeFacts | None = None) -> None:
        """Start Envoy with what translation makes of these objects, each listener on a port of its own."""
        given = [Upsert(content) for content in (ingress_class("nodegate"), *objects)]
        index, first = step(Index.new(settings or Settings()), given)
        self.ports = {listener: free_port() for listener, wanted in first.listeners.items() if wanted}
        _, second = step(index, [Claimed(listener, port) for listener, port in self.ports.items()])
        resources = [entry for entry in {**first.resources, **second.resources}.values() if entry]
        host, port = self._admin.split(":")
        configuration = static_configuration(resources, facts or NodeFacts())
        configuration["admin"] = {"address": {"socket_address": {"address": host, "port_value": int(port)}}}
        path = self._folder / "envoy.json"
        path.write_text(json.dumps(configuration))
        flags = ["--disable-hot-restart", "--concurrency", "1", "--log-level", "warning"]
        self._child = Child([self._binary, "-c", path, *flags], self._folder / "envoy.log")
        eventually(self._is_live, within=15, what="Envoy")

    def _is_live(self) -> bool:
        assert self._child is not None
        self._child.require_alive()
        return fetch(f"http://{self._admin}/ready").body.strip() == "LIVE"

    def get(
        self,
        path: str = "/",
        host: str = "any.example",
        *,
        listener: str = "default/web/http",
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        body: Any = None,
        port: int = 0,
    ) -> Answer:
        """Send one plain HTTP request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", port or self.ports[listener], timeout=10)
        return _exchange(connection, path, host, method, headers or {}, body)

    def get_tls(
        self,
        path: str = "/",
        host: str = "any.example",
        *,
        sni: str | None = "",
        listener: str = "default/web/https",
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send one HTTPS request. ``sni`` is the name asked for: the host unless given, and none at all if None."""
        secured = self.connect_tls(host if sni == "" else sni, listener=listener)
        connection = http.client.HTTPConnection("127.0.0.1", timeout=10)
        connection.sock = secured
        certificate = secured.getpeercert(binary_form=True) or b""
        answer = _exchange(connection, path, host, "GET", headers or {}, None)
        return Answer(answer.status, answer.headers, answer.body, certificate)

    def connect_tls(
        self, sni: str | None, *, listener: str = "default/web/https", alpn: list[str] | None = None
    ) -> ssl.SSLSocket:
        """Open a TLS connection, whatever certificate is shown. Raises OSError when it is refused."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        if alpn:
            context.set_alpn_protocols(alpn)
        plain = socket.create_connection(("127.0.0.1", self.ports[listener]), timeout=10)
        return context.wrap_socket(plain, server_hostname=sni)

    def stats(self, pattern: str) -> dict[str, int]:
        """Return the counters and gauges whose name matches a regular expression."""
        listed = fetch(f"http://{self._admin}/stats?format=json&filter={pattern}").json()["stats"]
        return {item["name"]: item["value"] for item in listed if "value" in item}

    def log(self) -> str:
        """Return what Envoy has written so far."""
        assert self._child is not None
        return self._child.log.read_text(errors="replace")

    def stop(self) -> None:
        """End Envoy."""
        if self._child is not None:
            self._child.stop()


def _exchange(
    connection: http.client.HTTPConnection, path: str, host: str, method: str, headers: Mapping[str, str], body: Any
) -> Answer:
    try:
        connection.request(method, path, body, {"Host": host, **headers})
        answer = connection.getresponse()
        received = {name.lower(): value for name, value in answer.getheaders()}
        return Answer(answer.status, received, answer.read())
    finally:
        connection.close()
