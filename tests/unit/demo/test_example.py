"""What the demo reads out of the manifests it serves: backends to start, and what to curl."""

from __future__ import annotations

from nodegate.demo.backends import Address
from nodegate.demo.example import backends_of, bookinfo_folder, curl_lines, ingress_of
from nodegate.model.objects import (
    Endpoint,
    EndpointPort,
    EndpointSlice,
    HTTPIngressPath,
    HTTPIngressRuleValue,
    Ingress,
    IngressBackend,
    IngressRule,
    IngressSpec,
    Metadata,
    Object,
)


def endpoint_slice(service: str, *addresses: str, family: str = "IPv4") -> EndpointSlice:
    return EndpointSlice(
        metadata=Metadata(name=f"{service}-1", namespace="default", labels={"kubernetes.io/service-name": service}),
        address_type=family,
        endpoints=tuple(Endpoint(addresses=(address,)) for address in addresses),
        ports=(EndpointPort(name="http", port=9080), EndpointPort(name="nothing")),
    )


def ingress(*paths: str, host: str = "") -> Ingress:
    entries = tuple(HTTPIngressPath("Prefix", IngressBackend(), path) for path in paths)
    return Ingress(
        metadata=Metadata(name="basic-ingress", namespace="default"),
        spec=IngressSpec(rules=(IngressRule(host, HTTPIngressRuleValue(entries)),)),
    )


def test_the_example_is_found_next_to_the_checkout() -> None:
    """The folder that is shipped, with what only this machine needs in a folder of its own."""
    folder = bookinfo_folder()
    assert (folder / "ingress.yaml").exists()
    assert (folder / "local" / "endpointslices.yaml").exists()


def test_a_backend_is_started_wherever_a_slice_puts_one_on_loopback() -> None:
    """One per address of details and productpage, and the object that asks for it is remembered."""
    details, page = endpoint_slice("details", "127.0.0.11", "127.0.0.13"), endpoint_slice("productpage", "127.0.0.12")
    assert backends_of([details, page]) == {
        Address("127.0.0.11", 9080): ("details", details.ref),
        Address("127.0.0.13", 9080): ("details", details.ref),
        Address("127.0.0.12", 9080): ("productpage", page.ref),
    }


def test_no_backend_is_started_for_anything_else() -> None:
    """Other Services, addresses of other machines and host names are not ours to answer."""
    others: list[Object] = [
        endpoint_slice("reviews", "127.0.0.14"),
        endpoint_slice("details", "10.0.0.1", "192.0.2.7"),
        endpoint_slice("details", "localhost", family="FQDN"),
        ingress("/"),
    ]
    assert backends_of(others) == {}


def test_ipv6_loopback_is_loopback() -> None:
    """The address is written as curl wants it."""
    (address,) = backends_of([endpoint_slice("details", "::1", family="IPv6")])
    assert str(address) == "[::1]:9080"


def test_what_to_curl_names_a_book_and_shows_that_a_prefix_goes_by_elements() -> None:
    """/details stands for one book, and /detailsx comes last: it goes to the product page."""
    assert list(curl_lines(ingress("/details", "/"), 18243)) == [
        "curl -s http://127.0.0.1:18243/details/1",
        "curl -s http://127.0.0.1:18243/",
        "curl -s http://127.0.0.1:18243/detailsx",
    ]


def test_a_rule_with_a_host_is_asked_for_by_that_host() -> None:
    """A wildcard host is asked for by one name it covers; an empty path is /."""
    assert list(curl_lines(ingress("", host="*.books.test"), 80)) == [
        "curl -s -H 'Host: any.books.test' http://127.0.0.1:80/"
    ]


def test_a_listener_belongs_to_the_ingress_it_is_named_for() -> None:
    """The name is namespace/ingress/http; an Ingress that is gone is nobody."""
    ours = ingress("/")
    assert ingress_of("default/basic-ingress/http", {ours.ref: ours}) is ours
    assert ingress_of("default/other/http", {ours.ref: ours}) is None
