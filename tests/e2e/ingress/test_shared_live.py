"""Shared listeners on the node's own ports over ADS: hosts come and go, and one broken Ingress harms nobody."""

from __future__ import annotations

import ssl
from typing import Any

import pytest

from tests.e2e.rig.addresses import free_port
from tests.e2e.rig.fetching import fetch
from tests.e2e.rig.manifests import Manifest
from tests.e2e.rig.site import Site
from tests.e2e.rig.waiting import eventually


class Node:
    """A site whose listeners are the two shared ones, on two ports of this machine."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.http, self.https = free_port(), free_port()
        site.server.flags += ["--expose", "host", "--http-port", str(self.http), "--https-port", str(self.https)]
        site.manifests.put(*site.service("blue", "blue"), *site.service("green", "green"))

    def ingress(self, name: str, host: str, to: str, created: str = "", **metadata: Any) -> Manifest:
        """Return an Ingress for one host, of some age."""
        manifest = self.site.ingress({"/": to}, name=name, host=host)
        manifest["metadata"] |= {"creationTimestamp": created} if created else {}
        manifest["metadata"] |= metadata
        return manifest

    def answers(self, host: str, wanted: str) -> None:
        """Wait until a host answers with the name of a backend, or with a status."""

        def look() -> bool:
            answer = fetch(f"http://127.0.0.1:{self.http}/", host=host)
            assert wanted in {answer.body, str(answer.status)}, answer
            return True

        eventually(look, within=10, what=f"{host} answering {wanted}")


@pytest.fixture
def node(site: Site) -> Node:
    """Return a running node whose host ``a.example`` is answered by blue."""
    node = Node(site)
    site.manifests.put(node.ingress("a", "a.example", "blue", "2026-01-01T00:00:00Z"))
    site.start()
    node.answers("a.example", "blue")
    return node


def test_hosts_come_and_go_beside_each_other(node: Node) -> None:
    """The listeners are there from the start and never change; no agent is needed (DESIGN 7)."""
    listeners = node.site.envoy.listeners()
    node.site.manifests.put(node.ingress("b", "b.example", "green"))
    node.answers("b.example", "green")
    node.site.manifests.drop(node.ingress("b", "b.example", "green"))
    node.answers("b.example", "404")
    node.answers("a.example", "blue")
    assert node.site.envoy.listeners() == listeners
    assert {name.rpartition("@")[0] for name in listeners} == {"shared/http", "shared/https"}
    node.site.envoy.require_content()


def test_the_older_ingress_wins_until_it_is_gone(node: Node) -> None:
    """A younger Ingress for the same host and path waits, and takes over (ingress.md 15, 16)."""
    younger = node.ingress("younger", "a.example", "green", "2026-02-01T00:00:00Z")
    node.site.manifests.put(younger, node.ingress("b", "b.example", "green"))
    node.answers("b.example", "green")  # so both are served
    node.answers("a.example", "blue")
    node.site.manifests.drop(node.ingress("a", "a.example", "blue"))
    node.answers("a.example", "green")


def test_an_unknown_name_gets_a_certificate_of_nodegates_own(node: Node) -> None:
    """Shared listeners speak TLS always, also where nobody has declared any (ingress.md 37)."""
    pem = ssl.get_server_certificate(("127.0.0.1", node.https), timeout=5)
    assert pem.startswith("-----BEGIN CERTIFICATE-----")
