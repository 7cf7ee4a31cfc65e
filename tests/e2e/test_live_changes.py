"""Edit a manifest, and Envoy answers differently: the whole path from a file to an HTTP answer."""

from __future__ import annotations

import tempfile

import pytest

from tests.e2e.rig.manifests import CONTROLLER, ingress, ingress_class, service
from tests.e2e.rig.site import Site


def test_an_ingress_that_is_added_gets_a_listener_and_answers(shop: Site) -> None:
    """A second Ingress is served on a port of its own, beside the first."""
    shop.manifests.put(*shop.service("green", "green"), shop.ingress({"/": "green"}, name="other"))
    port = shop.envoy.port_of(f"{shop.namespace}/other/http")
    assert port != shop.envoy.port_of(f"{shop.namespace}/web/http")
    shop.envoy.wait_until(lambda: shop.get(ingress_name="other").body == "green", what="the new Ingress")
    shop.answers("blue")


def test_an_ingress_that_changes_sends_requests_elsewhere(shop: Site) -> None:
    """A path is added, then moved to another Service."""
    shop.manifests.put(*shop.service("green", "green"), shop.ingress({"/": "blue", "/green": "green"}))
    shop.answers("green", "/green/tea")
    shop.answers("blue", "/greenish")
    shop.manifests.put(shop.ingress({"/": "green", "/green": "blue"}))
    shop.answers("blue", "/green/tea")
    shop.answers("green", "/greenish")


def test_an_ingress_that_is_deleted_loses_its_listener(shop: Site) -> None:
    """Nothing listens on its port any more, and its cluster is gone from Envoy."""
    shop.manifests.drop(shop.ingress({}))
    shop.envoy.wait_until(lambda: not shop.envoy.listeners(), what="the end of the listener")
    shop.envoy.wait_until(lambda: not shop.envoy.clusters_of(shop.namespace), what="the end of its cluster")


def test_a_service_that_comes_later_is_used_when_it_is_there(shop: Site) -> None:
    """Until then its path answers 503 and every other path works (ingress 29)."""
    shop.manifests.put(shop.ingress({"/": "blue", "/late": "late"}))
    shop.refuses(503, "/late")
    shop.answers("blue")
    shop.manifests.put(*shop.service("late", "red"))
    shop.answers("red", "/late")


def test_a_service_that_is_deleted_answers_503_and_no_other_backend_takes_its_place(shop: Site) -> None:
    """Requests of a longer path never leak to a shorter one (ingress 29)."""
    green = shop.service("green", "green")
    shop.manifests.put(*green, shop.ingress({"/": "blue", "/green": "green"}))
    shop.answers("green", "/green")
    shop.manifests.drop(*green)
    shop.refuses(503, "/green")
    shop.answers("blue")
    shop.manifests.put(*green)
    shop.answers("green", "/green")


def test_a_service_port_that_changes_is_followed_by_the_ingress(shop: Site) -> None:
    """The Service's port number is the reference; the endpoints keep their own (ingress 21)."""
    shop.manifests.put(service(shop.namespace, "blue", 8080), shop.ingress({"/": "blue:8080"}))
    shop.answers("blue")
    shop.has_endpoints("blue", ["blue"], port=8080)


def test_endpoints_that_change_are_in_envoy_within_a_second(shop: Site) -> None:
    """Adding, replacing and taking away, seen in ``/clusters``."""
    for backends in (["blue", "green"], ["green", "red", "grey"], ["grey"]):
        shop.manifests.put(shop.endpoints("blue", *backends))
        shop.has_endpoints("blue", backends, within=1)
        shop.envoy.wait_until(lambda wanted=backends: shop.get().body in wanted, what="an answer")


def test_a_service_whose_last_endpoint_goes_answers_503_until_there_is_one_again(shop: Site) -> None:
    """An empty EndpointSlice is an empty assignment, not a missing one (xds-protocol 41)."""
    shop.manifests.put(shop.endpoints("blue"))
    shop.refuses(503)
    shop.has_endpoints("blue", [])
    shop.manifests.put(shop.endpoints("blue", "red"))
    shop.answers("red")


def test_hosts_are_told_apart(shop: Site) -> None:
    """Two Ingress hosts, and 404 for a host nobody claims."""
    shop.manifests.put(*shop.service("green", "green"), shop.ingress({"/": "green"}, host="green.test"))
    shop.answers("green", host="green.test")
    shop.envoy.wait_until(lambda: shop.get(host="other.test").status == 404, what="404 for another host")


@pytest.mark.parametrize("class_name", ["cilium", "nginx"])
def test_the_controller_of_the_class_decides_and_not_its_name(site: Site, class_name: str) -> None:
    """A class named cilium with our controller makes Ingresses written for Cilium work as they are (DESIGN 5)."""
    site.manifests.put(
        ingress_class(class_name, CONTROLLER if class_name == "cilium" else "example.com/other"),
        *site.service("blue", "blue"),
        ingress(site.namespace, "web", {"/": "blue"}, class_name=class_name),
        *site.service("green", "green"),
        site.ingress({"/": "green"}, name="ours"),
    )
    site.start()
    site.envoy.wait_until(lambda: site.get(ingress_name="ours").body == "green", what="our own Ingress")
    if class_name == "cilium":
        site.answers("blue")
    else:
        assert list(site.envoy.listeners()) == [
            f"{site.namespace}/ours/http@{site.envoy.port_of(site.listener('ours'))}"
        ]


def test_the_debug_page_shows_the_proxy_with_what_it_acknowledged(shop: Site) -> None:
    """One proxy, every type in sync, nothing rejected, and in the variant it asked for."""

    def look() -> bool:
        (proxy,) = shop.server.debug("proxies")["proxies"]
        assert proxy["node_id"] == "node-1"
        assert proxy["variant"] == shop.variant
        assert {"cluster", "endpoint", "listener", "route"} <= {of_type["type"] for of_type in proxy["types"]}
        assert all(of_type["synced"] and not of_type["rejected"] for of_type in proxy["types"])
        return True

    shop.envoy.wait_until(look, what="a proxy in sync on the debug page")


def test_the_control_plane_can_be_reached_over_a_unix_socket(site: Site) -> None:
    """``--xds-address unix:PATH`` works from end to end."""
    with tempfile.TemporaryDirectory(prefix="ng-") as folder:  # a socket's path may have 108 bytes at most
        site.server.xds_address = f"unix:{folder}/xds.sock"
        site.manifests.put(*site.service("blue", "blue"), site.ingress({"/": "blue"}))
        site.start()
        site.answers("blue", within=15)
        site.manifests.put(site.endpoints("blue", "red"))
        site.answers("red")
        site.stop()
