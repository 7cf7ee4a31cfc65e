"""What an API server refuses is refused here too, with the field that is wrong; what it accepts is accepted.

The rules are those of pkg/apis/{core,discovery,networking}/validation in Kubernetes.
"""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodegate.source.validation import names
from tests.unit.source.manifests import decoded, faults, messages, problems_of


def ingress(spec: str, metadata: str = "") -> str:
    """Return an Ingress with this spec."""
    return f"{{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {{name: x{metadata}}}, spec: {{{spec}}}}}"


def path(fields: str) -> str:
    """Return an Ingress with one path."""
    return ingress(f"rules: [{{http: {{paths: [{{{fields}}}]}}}}]")


def backend(fields: str) -> str:
    """Return an Ingress with a default backend."""
    return ingress(f"defaultBackend: {{{fields}}}")


def service(spec: str, metadata: str = "") -> str:
    """Return a Service with this spec."""
    return f"{{apiVersion: v1, kind: Service, metadata: {{name: x{metadata}}}, spec: {{{spec}}}}}"


def port(fields: str) -> str:
    """Return a Service with one port."""
    return service(f"ports: [{{{fields}}}]")


def endpoint_slice(fields: str) -> str:
    """Return an EndpointSlice."""
    return f"{{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {{name: x}}, {fields}}}"


def address(text: str, address_type: str = "IPv4") -> str:
    """Return an EndpointSlice with one address."""
    return endpoint_slice(f"addressType: {address_type}, endpoints: [{{addresses: ['{text}']}}]")


BACKEND = "backend: {service: {name: s, port: {number: 80}}}"
HTTP = "spec.rules[0].http.paths[0]"


@pytest.mark.parametrize(
    "text",
    [
        ingress("defaultBackend: {service: {name: s, port: {name: http}}}"),
        ingress("defaultBackend: {resource: {apiGroup: a.b, kind: Bucket, name: x}}"),
        ingress("rules: [{host: a.b}]"),
        ingress("rules: [{host: '*.a.b'}, {host: xn--bcher-kva.example}, {}]"),
        path(f"path: /, pathType: Prefix, {BACKEND}"),
        path(f"path: /a/b/, pathType: Exact, {BACKEND}"),
        path(f"path: /a.b/..c, pathType: Prefix, {BACKEND}"),
        path(f"pathType: ImplementationSpecific, {BACKEND}"),
        path(f"path: '/a//[0-9]+%2f', pathType: ImplementationSpecific, {BACKEND}"),
        ingress("rules: [{}], tls: [{}, {hosts: [a.b, '*.c.d'], secretName: s.t}]"),
        ingress("rules: [{}], ingressClassName: a", ", annotations: {kubernetes.io/ingress.class: b}"),
        ingress("rules: [{}]", ", annotations: {UPPER.example/x: '', nodegate.dev/b_c: any thing}"),
        service("ports: [{port: 80}]"),
        service("ports: [{port: 80, name: a}, {port: 80, name: b, protocol: UDP}]"),
        service("ports: [{port: 1, targetPort: http, nodePort: 30000, appProtocol: kubernetes.io/h2c}]"),
        service("clusterIP: None"),
        service("type: ExternalName, externalName: a.b."),
        service("type: LoadBalancer, ports: [{port: 65535}], loadBalancerSourceRanges: [10.0.0.0/8, '::/0']"),
        service("ports: [{port: 80}], clusterIP: 'fd00::1', clusterIPs: ['fd00::1', 10.0.0.1], ipFamilies: [IPv6]"),
        address("10.0.0.1"),
        address("127.0.0.1"),
        address("169.254.1.1"),
        address("fd00::1", "IPv6"),
        address("a.example", "FQDN"),
        endpoint_slice("addressType: IPv4, ports: [{}, {name: a, port: 80}]"),
        "{apiVersion: networking.k8s.io/v1, kind: IngressClass, metadata: {name: a}, spec: {controller: a.b/c/d}}",
    ],
)
def test_what_an_api_server_accepts_is_accepted(text: str) -> None:
    (one,) = decoded(text)
    assert one.findings == ()
    assert one.object is not None


@pytest.mark.parametrize(
    ("text", "field"),
    [
        (ingress(""), "spec"),
        (ingress("rules: []"), "spec"),
        (ingress("rules: [{host: 10.0.0.1}]"), "spec.rules[0].host"),
        (ingress("rules: [{host: '::1'}]"), "spec.rules[0].host"),
        (ingress("rules: [{host: '[::1]'}]"), "spec.rules[0].host"),
        (ingress("rules: [{host: 'a.b:80'}]"), "spec.rules[0].host"),
        (ingress("rules: [{host: A.b}]"), "spec.rules[0].host"),
        (ingress("rules: [{host: a.b.}]"), "spec.rules[0].host"),
        (ingress("rules: [{host: a..b}]"), "spec.rules[0].host"),
        (ingress("rules: [{host: http://a.b}]"), "spec.rules[0].host"),
        (ingress("rules: [{host: '*'}]"), "spec.rules[0].host"),
        (ingress("rules: [{host: '*.*.b'}]"), "spec.rules[0].host"),
        (ingress("rules: [{host: a.*.b}]"), "spec.rules[0].host"),
        (ingress("rules: [{host: a*.b}]"), "spec.rules[0].host"),
        (ingress("rules: [{host: a.b}, {host: a b}]"), "spec.rules[1].host"),
        (ingress("rules: [{http: {}}]"), "spec.rules[0].http.paths"),
        (path(f"path: /, {BACKEND}"), f"{HTTP}.pathType"),
        (path(f"path: /, pathType: prefix, {BACKEND}"), f"{HTTP}.pathType"),
        (path(f"pathType: Prefix, {BACKEND}"), f"{HTTP}.path"),
        (path(f"path: a, pathType: Exact, {BACKEND}"), f"{HTTP}.path"),
        (path(f"path: /a//b, pathType: Prefix, {BACKEND}"), f"{HTTP}.path"),
        (path(f"path: /a/./b, pathType: Prefix, {BACKEND}"), f"{HTTP}.path"),
        (path(f"path: /a/../b, pathType: Exact, {BACKEND}"), f"{HTTP}.path"),
        (path(f"path: /a%2Fb, pathType: Exact, {BACKEND}"), f"{HTTP}.path"),
        (path(f"path: /a/.., pathType: Prefix, {BACKEND}"), f"{HTTP}.path"),
        (path(f"path: /a/., pathType: Prefix, {BACKEND}"), f"{HTTP}.path"),
        (path(f"path: a.*, pathType: ImplementationSpecific, {BACKEND}"), f"{HTTP}.path"),
        (path("path: /, pathType: Prefix"), f"{HTTP}.backend"),
        (backend(""), "spec.defaultBackend"),
        (backend("service: {name: s, port: {number: 1}}, resource: {kind: a, name: b}"), "spec.defaultBackend"),
        (backend("service: {port: {number: 1}}"), "spec.defaultBackend.service.name"),
        (backend("service: {name: a.b, port: {number: 1}}"), "spec.defaultBackend.service.name"),
        (backend("service: {name: s}"), "spec.defaultBackend.service.port"),
        (backend("service: {name: s, port: {name: a, number: 1}}"), "spec.defaultBackend.service.port"),
        (backend("service: {name: s, port: {number: 65536}}"), "spec.defaultBackend.service.port.number"),
        (backend("service: {name: s, port: {number: -1}}"), "spec.defaultBackend.service.port.number"),
        (backend("service: {name: s, port: {name: a_b}}"), "spec.defaultBackend.service.port.name"),
        (backend("service: {name: s, port: {name: a-name-too-long-}}"), "spec.defaultBackend.service.port.name"),
        (backend("resource: {kind: Bucket}"), "spec.defaultBackend.resource.name"),
        (ingress("rules: [{}], tls: [{hosts: [A.b]}]"), "spec.tls[0].hosts[0]"),
        (ingress("rules: [{}], tls: [{secretName: A}]"), "spec.tls[0].secretName"),
        (ingress("rules: [{}], ingressClassName: A"), "spec.ingressClassName"),
        (ingress("rules: [{}]", ", labels: {'a b': c}"), "metadata.labels[a b]"),
        (ingress("rules: [{}]", ", labels: {a: 'b c'}"), "metadata.labels.a"),
        (ingress("rules: [{}]", ", annotations: {'a/b/c': d}"), "metadata.annotations[a/b/c]"),
        (ingress("rules: [{}]", f", annotations: {{a: {'x' * 262144}}}"), "metadata.annotations"),
        (service(""), "spec.ports"),
        (service("ports: [{port: 80}, {port: 81, name: a}]"), "spec.ports[0].name"),
        (port("port: 0"), "spec.ports[0].port"),
        (port("port: 80, name: A"), "spec.ports[0].name"),
        (port("port: 80, protocol: tcp"), "spec.ports[0].protocol"),
        (port("port: 80, targetPort: 70000"), "spec.ports[0].targetPort"),
        (port("port: 80, targetPort: '80'"), "spec.ports[0].targetPort"),
        (port("port: 80, nodePort: 70000"), "spec.ports[0].nodePort"),
        (port("port: 80, appProtocol: a/b/c"), "spec.ports[0].appProtocol"),
        (service("type: Loadbalancer, ports: [{port: 80}]"), "spec.type"),
        (service("type: ExternalName"), "spec.externalName"),
        (service("type: ExternalName, externalName: a_b"), "spec.externalName"),
        (service("clusterIP: a, ports: [{port: 80}]"), "spec.clusterIP"),
        (service("externalIPs: [a], ports: [{port: 80}]"), "spec.externalIPs[0]"),
        (service("ipFamilies: [ipv4], ports: [{port: 80}]"), "spec.ipFamilies[0]"),
        (service("loadBalancerSourceRanges: [10.0.0.1], ports: [{port: 80}]"), "spec.loadBalancerSourceRanges[0]"),
        (service("sessionAffinity: clientip, ports: [{port: 80}]"), "spec.sessionAffinity"),
        (service("internalTrafficPolicy: local, ports: [{port: 80}]"), "spec.internalTrafficPolicy"),
        (endpoint_slice("addressType: ipv4"), "addressType"),
        (endpoint_slice("addressType: IPv4, endpoints: [{}]"), "endpoints[0].addresses"),
        (address("10.0.0.256"), "endpoints[0].addresses[0]"),
        (address("010.0.0.1"), "endpoints[0].addresses[0]"),
        (address("fd00::1"), "endpoints[0].addresses[0]"),
        (address("10.0.0.1", "IPv6"), "endpoints[0].addresses[0]"),
        (address("fe80::1%eth0", "IPv6"), "endpoints[0].addresses[0]"),
        (address("0.0.0.0"), "endpoints[0].addresses[0]"),
        (address("ff02::1", "IPv6"), "endpoints[0].addresses[0]"),
        (address("localhost", "FQDN"), "endpoints[0].addresses[0]"),
        (address("10.0.0.1:80"), "endpoints[0].addresses[0]"),
        (endpoint_slice("addressType: IPv4, ports: [{port: 0}]"), "ports[0].port"),
        (endpoint_slice("addressType: IPv4, ports: [{protocol: HTTP}]"), "ports[0].protocol"),
        (endpoint_slice("addressType: IPv4, ports: [{name: A}]"), "ports[0].name"),
        (
            endpoint_slice("addressType: IPv4, endpoints: [{addresses: [10.0.0.1], hostname: a.b}]"),
            "endpoints[0].hostname",
        ),
        (
            endpoint_slice(f"addressType: IPv4, endpoints: [{', '.join(['{addresses: [10.0.0.1]}'] * 1001)}]"),
            "endpoints",
        ),
        ("{apiVersion: networking.k8s.io/v1, kind: IngressClass, metadata: {name: a}}", "spec.controller"),
        (
            "{apiVersion: networking.k8s.io/v1, kind: IngressClass, metadata: {name: a}, spec: {controller: nginx}}",
            "spec.controller",
        ),
    ],
)
def test_what_an_api_server_refuses_is_refused_at_its_field(text: str, field: str) -> None:
    (one,) = decoded(text)
    assert one.object is None
    assert [found for _, found in faults(text)] == [field]


def test_everything_wrong_with_an_object_is_told_at_once() -> None:
    text = ingress(
        "ingressClassName: A, defaultBackend: {}, tls: [{hosts: ['*']}], "
        "rules: [{host: 1.2.3.4, http: {paths: "
        f"[{{path: x, pathType: Exact, {BACKEND}}}, {{pathType: X, {BACKEND}}}]}}}}]"
    )
    assert sorted(field for _, field in faults(text)) == [
        "spec.defaultBackend",
        "spec.ingressClassName",
        "spec.rules[0].host",
        "spec.rules[0].http.paths[0].path",
        "spec.rules[0].http.paths[1].pathType",
        "spec.tls[0].hosts[0]",
    ]


def test_the_same_name_or_port_twice_is_told_at_both() -> None:
    text = service("ports: [{port: 80, name: a}, {port: 80, name: b}, {port: 81, name: a}]")
    assert sorted(field for _, field in faults(text)) == [
        "spec.ports[0].name",
        "spec.ports[0].port",
        "spec.ports[1].port",
        "spec.ports[2].name",
    ]
    assert faults(endpoint_slice("addressType: IPv4, ports: [{name: a}, {name: a}]")) == [
        ("InvalidValue", "ports[0].name"),
        ("InvalidValue", "ports[1].name"),
    ]


def test_messages_say_what_is_wrong_with_which_value() -> None:
    (one,) = decoded(ingress("rules: [{host: 'shop.example:8080'}]"))
    assert messages(problems_of(one)) == (
        "f:1: error: Ingress default/x spec.rules[0].host: The host 'shop.example:8080' has a port, "
        "and must be a DNS name alone. Correct the value. [InvalidValue]"
    )


# --- Forms -------------------------------------------------------------------------------------------------------


@given(st.ip_addresses())
def test_every_ip_address_is_one_and_never_a_host(value: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    assert names.ip_fault(str(value), value.version) == ""
    assert names.ip_fault(str(value), 10 - value.version) != ""
    assert "IP address" in names.host_fault(str(value))


@given(
    st.from_regex(
        r"[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?){1,3}\.[a-z]", fullmatch=True
    )
)
def test_every_dns_name_is_a_host_with_and_without_wildcard(name: str) -> None:
    assert names.host_fault(name) == ""
    assert names.host_fault(f"*.{name}") == ""
    assert names.host_fault(f"{name}:80") != ""
    assert names.host_fault(f"x*.{name}") != ""


@given(st.text(max_size=20))
def test_a_form_is_checked_to_its_end(text: str) -> None:
    """A trailing newline is a character like any other (in Python's `$` it is not)."""
    for check in (names.dns_label_fault, names.dns_subdomain_fault, names.port_name_fault, names.qualified_name_fault):
        if check(text) == "":
            assert check(text + "\n") != ""
            assert text.isascii()


@given(st.text())
def test_no_text_raises(text: str) -> None:
    for check in (names.host_fault, names.ip_fault, names.cidr_fault, names.key_fault, names.label_value_fault):
        assert isinstance(check(text), str)
