"""For each kind of problem, Ingresses and other objects that have it.

Each generator takes a number that makes its names its own. What it returns may refer to the good objects of a test but
never uses their names.
"""

from __future__ import annotations

from collections.abc import Callable

from nodegate.model.objects import (
    Endpoint,
    EndpointPort,
    EndpointSlice,
    HTTPIngressPath,
    HTTPIngressRuleValue,
    Ingress,
    IngressBackend,
    IngressRule,
    IngressServiceBackend,
    IngressSpec,
    Metadata,
    Namespace,
    NamespaceStatus,
    Object,
    ServiceBackendPort,
    ServicePort,
    ServiceSpec,
    TypedLocalObjectReference,
)
from nodegate.model.problem import ProblemCode
from nodegate.translate import codes
from tests.certificates import pair
from tests.unit.translate.objects import endpoints, ingress, rule, secret, service, tls

Objects = list[Object]


def one_path(path_type: str, path: str, to: IngressBackend | None = None) -> IngressRule:
    """Return a rule with one path."""
    target = to or IngressBackend(service=IngressServiceBackend("app", ServiceBackendPort(number=80)))
    return IngressRule("", HTTPIngressRuleValue((HTTPIngressPath(path_type, target, path),)))


def _class_unknown(name: str) -> Objects:
    return [ingress(name, rule({"/": "app:80"}), class_name="nobody")]


def _class_missing(name: str) -> Objects:
    return [ingress(name, rule({"/": "app:80"}), class_name=None)]


def _namespace_terminating(name: str) -> Objects:
    namespace = Namespace(Metadata(f"{name}-ns"), NamespaceStatus("Terminating"))
    return [namespace, ingress(name, rule({"/": "app:80"}), namespace=f"{name}-ns")]


def _invalid_name(name: str) -> Objects:
    return [Ingress(Metadata(f"{name}/x", "default"), IngressSpec("nodegate"))]


def _empty(name: str) -> Objects:
    return [ingress(name)]


def _invalid_host(name: str) -> Objects:
    hosts = ("under_score", "a..b", "*", "*.", "*.*.x", "1.2.3.4", "x" * 254, "a b", "h:80", "ünïcode.example")
    return [ingress(name, *(rule({"/": "app:80"}, host) for host in hosts), tls=(tls("x", "no host"),))]


def _invalid_path(name: str) -> Objects:
    exact = [
        one_path("Exact", path) for path in ("", "a", "/a?b", "/a#b", "/a//b", "/./", "/a/..", "/%2F", "/ ", "/\x00")
    ]
    odd = [HTTPIngressPath("ImplementationSpecific", IngressBackend(), path) for path in ("/(", "no", "/[z-a]", "/\\8")]
    regexes = ingress(f"{name}-r", IngressRule("", HTTPIngressRuleValue(tuple(odd))), path_regex="full")
    return [ingress(name, *exact), regexes]


def _invalid_path_type(name: str) -> Objects:
    return [ingress(name, one_path("", "/"), one_path("prefix", "/"))]


def _path_conflict(name: str) -> Objects:
    return [ingress(name, rule({"/a": "app:80", "/a/": "app:80"}, f"{name}.example"))]


def _resource_backend(name: str) -> Objects:
    bucket = IngressBackend(resource=TypedLocalObjectReference("Bucket", "static"))
    return [ingress(name, one_path("Prefix", "/", bucket))]


def _invalid_backend(name: str) -> Objects:
    ports = {"app": (ServiceBackendPort("web", 80), ServiceBackendPort()), "": (ServiceBackendPort(number=1),)}
    ports["a/b"] = ports[""]
    services = [IngressServiceBackend(name, port) for name, listed in ports.items() for port in listed]
    targets = [IngressBackend(), *(IngressBackend(service=to) for to in services)]
    return [ingress(name, *(one_path("Prefix", f"/{i}", to) for i, to in enumerate(targets)))]


def _service_not_found(name: str) -> Objects:
    return [ingress(name, rule({"/": f"{name}-gone:80"}))]


def _service_port_not_found(name: str) -> Objects:
    udp = service(f"{name}-udp", ServicePort(80, "dns", "UDP"))
    return [ingress(name, rule({"/n": "app:81", "/s": "app:none", "/u": f"{name}-udp:80"})), udp]


def _no_endpoints(name: str) -> Objects:
    return [ingress(name, rule({"/": f"{name}-svc:80"})), service(f"{name}-svc")]


def _invalid_endpoint(name: str) -> Objects:
    of = f"{name}-svc"
    listed = endpoints(of, "10.0.0.256", "fd00::1", "", "10.0.0.1%eth0", "localhost", "10.0.0.9", name=of)
    ports = tuple(EndpointPort("", port) for port in (0, -1, 65_536))
    odd = EndpointSlice(listed.metadata, "IPv4", (*listed.endpoints, Endpoint(())), (*listed.ports, *ports))
    return [ingress(name, rule({"/": f"{of}:80"})), service(of), odd]


def _address_type(name: str) -> Objects:
    of = f"{name}-svc"
    slices = [endpoints(of, "www.example.com", name=f"{of}-{t or 0}", address_type=t) for t in ("FQDN", "IPX", "")]
    return [ingress(name, rule({"/": f"{of}:80"})), service(of), *slices]


def _unknown_annotation(name: str) -> Objects:
    return [ingress(name, rule({"/": "app:80"}), time_out="5s", x="", retries="3")]


_UNREADABLE = {
    "timeout": "soon",
    "canary": "app=app:101",
    "rate-limit": "1/y",
    "allow-ranges": "::/129",
    "max-body-size": "0",
    "redirect-to": "http://[::1",
    "rewrite-prefix": "no",
    "cors-origins": "'",
    "listener-mode": "both",
    "path-regex": "yes",
    "redirect-code": "200",
    "host-rewrite": "*.x",
}


def _invalid_annotation(name: str) -> Objects:
    annotated = ingress(name, rule({"/": f"{name}-svc:80"}))
    annotated.metadata.annotations.update({f"nodegate.dev/{key}": value for key, value in _UNREADABLE.items()})
    return [
        annotated,
        service(f"{name}-svc", affinity="mood", protocol="spdy", locality="far", connect_timeout="x", retries="-1"),
    ]


def _certificate_not_served(name: str) -> Objects:
    weak = secret(f"{name}-weak", {"tls.crt": b"x", "tls.key": b"y"})
    mixed = secret(f"{name}-mixed", {"tls.crt": pair("a.x").certificate, "tls.key": pair("b.x").key})
    hosts = {f"{name}-gone": "a", f"{name}-weak": "b", f"{name}-mixed": "c"}
    entries = tuple(tls(s, f"{h}.{name}.example") for s, h in hosts.items())
    return [ingress(name, rule({"/": "app:80"}, f"a.{name}.example"), tls=entries), weak, mixed]


def _certificate_conflict(name: str) -> Objects:
    one, two = (secret(f"{name}-{n}", pair("a.x").data) for n in ("one", "two"))
    entries = (tls(f"{name}-one", f"{name}.example"), tls(f"{name}-two", f"{name}.example"))
    return [ingress(name, rule({"/": "app:80"}, f"{name}.example"), tls=entries), one, two]


def _default_backend_conflict(name: str) -> Objects:
    return [ingress(f"{name}-{n}", default="app:80", listener_mode="shared") for n in ("one", "two")]


def _external_name_refused(name: str) -> Objects:
    of = f"{name}-svc"
    return [ingress(name, rule({"/": f"{of}:80"})), service(of, spec=ServiceSpec("ExternalName", external_name="x.y"))]


def _unknown_app_protocol(name: str) -> Objects:
    of = f"{name}-svc"
    return [ingress(name, rule({"/": f"{of}:80"})), service(of, ServicePort(80, app_protocol="carrier/pigeon"))]


def _upstream_not_verified(name: str) -> Objects:
    of = f"{name}-svc"
    return [ingress(name, rule({"/": f"{of}:80"})), service(of, protocol="https")]


def _upstream_ca_not_found(name: str) -> Objects:
    of = f"{name}-svc"
    return [ingress(name, rule({"/": f"{of}:80"})), service(of, protocol="https", upstream_ca="gone")]


BROKEN: dict[ProblemCode, Callable[[str], Objects]] = {
    codes.INGRESS_CLASS_UNKNOWN: _class_unknown,
    codes.INGRESS_CLASS_MISSING: _class_missing,
    codes.NAMESPACE_TERMINATING: _namespace_terminating,
    codes.INVALID_NAME: _invalid_name,
    codes.EMPTY_INGRESS: _empty,
    codes.INVALID_HOST: _invalid_host,
    codes.INVALID_PATH: _invalid_path,
    codes.INVALID_PATH_TYPE: _invalid_path_type,
    codes.PATH_CONFLICT: _path_conflict,
    codes.RESOURCE_BACKEND: _resource_backend,
    codes.INVALID_BACKEND: _invalid_backend,
    codes.SERVICE_NOT_FOUND: _service_not_found,
    codes.SERVICE_PORT_NOT_FOUND: _service_port_not_found,
    codes.NO_ENDPOINTS: _no_endpoints,
    codes.INVALID_ENDPOINT: _invalid_endpoint,
    codes.ADDRESS_TYPE_NOT_SERVED: _address_type,
    codes.UNKNOWN_ANNOTATION: _unknown_annotation,
    codes.INVALID_ANNOTATION: _invalid_annotation,
    codes.CERTIFICATE_NOT_SERVED: _certificate_not_served,
    codes.CERTIFICATE_CONFLICT: _certificate_conflict,
    codes.DEFAULT_BACKEND_CONFLICT: _default_backend_conflict,
    codes.EXTERNAL_NAME_REFUSED: _external_name_refused,
    codes.UNKNOWN_APP_PROTOCOL: _unknown_app_protocol,
    codes.UPSTREAM_NOT_VERIFIED: _upstream_not_verified,
    codes.UPSTREAM_CA_NOT_FOUND: _upstream_ca_not_found,
}
"""A generator for every kind of problem that objects can have by themselves."""

NEEDS_HISTORY = {codes.INVALID_CERTIFICATE, codes.CERTIFICATE_EXPIRED, codes.CERTIFICATE_EXPIRES_SOON}
"""What takes a good object before a bad one, or time to pass."""

NEEDS_LISTENER = {
    codes.INVALID_SOURCE_RANGE,
    codes.INVALID_FRONTEND,
    codes.FRONTEND_FAMILY_NOT_BOUND,
    codes.FRONTEND_CONFLICT,
}
"""What is wrong with a Service only once a listener has a port; ``test_redirects`` is about these."""
