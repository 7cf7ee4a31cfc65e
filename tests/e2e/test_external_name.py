"""Services that are a DNS name: off unless the operator wants them, and never a way back into the node."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.rig.manifests import Manifest, service
from tests.e2e.rig.name_server import name_server
from tests.e2e.rig.site import Site

OUTSIDE = "shop.example.com"


@pytest.fixture
def resolving(site: Site) -> Iterator[Site]:
    """Return a site whose Envoy finds the backend ``blue`` under every name."""
    with name_server(site.backends["blue"][0]) as resolver:
        site.bootstrap |= resolver
        yield site


def external(site: Site, name: str, target: str) -> Manifest:
    """Return a Service that is a DNS name, with the port of ``blue``."""
    made = service(site.namespace, name, site.backends["blue"][1])
    made["spec"] |= {"type": "ExternalName", "externalName": target}
    return made


def lead_to(site: Site, target: str) -> None:
    """Write a Service that is this name, and an Ingress for it."""
    port = site.backends["blue"][1]
    site.manifests.put(external(site, "outside", target), site.ingress({"/": f"outside:{port}"}))


def test_requests_go_to_what_the_name_resolves_to(resolving: Site) -> None:
    """The operator allowed it: the port is the Service's (ingress.md 28)."""
    resolving.server.flags.append("--external-names")
    lead_to(resolving, OUTSIDE)
    resolving.start()
    resolving.answers("blue")


def test_without_the_operator_s_leave_no_name_is_followed(resolving: Site) -> None:
    """Whoever may write a Service could reach what only the node can reach (ingress.md 28)."""
    lead_to(resolving, OUTSIDE)
    resolving.start()
    resolving.refuses(503)


@pytest.mark.parametrize("target", ["localhost", "127.0.0.1", "169.254.169.254", "0.0.0.0"])
def test_a_name_of_the_node_itself_is_refused_also_where_names_are_allowed(resolving: Site, target: str) -> None:
    """Loopback, link-local and unspecified addresses are the node's own or its cloud's (ingress.md 28)."""
    resolving.server.flags.append("--external-names")
    lead_to(resolving, target)
    resolving.start()
    resolving.refuses(503)
