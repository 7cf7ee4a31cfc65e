"""A cluster that never warms holds back nothing but what needs it (xds-protocol 42).

It is a Service of type ExternalName whose name server does not answer: Envoy knows neither an address nor that there
is none, so the cluster stays in warming, and with it the acknowledgement of the CDS response that brought it.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.rig.manifests import Manifest, service
from tests.e2e.rig.name_server import resolver
from tests.e2e.rig.site import Site


def external(namespace: str, name: str) -> Manifest:
    """Return a Service that is a DNS name."""
    made = service(namespace, name)
    made["spec"] |= {"type": "ExternalName", "externalName": "nobody-knows.example.com"}
    return made


@pytest.fixture
def silent_name_server() -> Iterator[dict[str, Any]]:
    """Return the part of a bootstrap that makes Envoy ask a name server which never answers."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        yield resolver(*silent.getsockname())


@pytest.fixture
def stuck(site: Site, silent_name_server: dict[str, Any]) -> Site:
    """Return a site that serves ExternalName Services, and whose Envoy cannot resolve any name."""
    site.server.flags.append("--external-names")
    site.bootstrap |= silent_name_server
    site.manifests.put(*site.service("blue", "blue"), *site.service("green", "green"), site.ingress({"/": "blue"}))
    site.manifests.put(external(site.namespace, "stuck"))
    return site


def test_an_envoy_that_starts_with_it_serves_everything_else(stuck: Site) -> None:
    """Listeners wait for all clusters of the first CDS response, so this one must not keep them waiting (41)."""
    stuck.manifests.put(stuck.ingress({"/": "blue", "/stuck": "stuck"}))
    stuck.start()
    stuck.answers("blue", within=10)
    stuck.refuses(503, "/stuck")
    stuck.manifests.put(stuck.ingress({"/": "green", "/stuck": "stuck"}))
    stuck.answers("green")


def test_changes_that_come_after_it_are_served_at_once(stuck: Site) -> None:
    """New clusters, new routes and new endpoints of other Ingresses, while it never gets ready."""
    stuck.start()
    stuck.answers("blue", within=15)
    stuck.manifests.put(stuck.ingress({"/": "stuck"}, name="other"))
    stuck.envoy.wait_until(lambda: stuck.envoy.knows(f"{stuck.namespace}/stuck/80"), what="the stuck cluster")
    stuck.manifests.put(stuck.ingress({"/": "green"}))
    stuck.answers("green", within=3)
    stuck.manifests.put(stuck.endpoints("green", "red"))
    stuck.answers("red", within=3)
    stuck.manifests.put(*stuck.service("grey", "grey"), stuck.ingress({"/": "grey"}))
    stuck.answers("grey", within=3)


def test_no_request_is_lost_in_moves_beside_it(stuck: Site, record_property: Any) -> None:
    """Make before break holds while it is stuck: routes flip and clusters come and go under load."""
    stuck.manifests.put(stuck.ingress({"/": "stuck"}, name="other"))
    stuck.start()
    stuck.answers("blue", within=15)
    load = stuck.load(rate=200, websocket=True)
    for backend in ("green", "red", "blue", "grey"):
        stuck.manifests.put(*stuck.service(f"{backend}-2", backend), stuck.ingress({"/": f"{backend}-2"}))
        stuck.answers(backend, within=5)
    report = load.finish()
    record_property("load", report.summary())
    report.require_flawless()
