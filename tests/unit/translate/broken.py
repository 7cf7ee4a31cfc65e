"""For each kind of problem, Ingresses and other objects that have it.

Each generator takes a name that makes its names its own. What it returns may refer to the good objects of a test but
never uses their names. Most problems are those of objects, in whatever order they come; some take a history: a good
object before a bad one, or a listener that has its port.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import cache
from zlib import crc32

from nodegate.model.changes import Change, Claimed
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
from nodegate.translate.settings import Expose, ListenerMode, Settings
from tests.certificates import Pair, authority, pair
from tests.unit.translate.objects import endpoints, front_door, ingress, rule, secret, service, tls, upserts

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


def _path_taken_literally(name: str) -> Objects:
    patterns = [one_path("ImplementationSpecific", path) for path in ("/a/*", "/(b|c)", "/d.*$", r"/e\d")]
    return [ingress(name, *patterns, one_path("Prefix", "/f/*"))]


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
    return [ingress(name, rule({"/": f"{name}-gone:80"}, f"{name}.example"))]


def _service_port_not_found(name: str) -> Objects:
    udp = service(f"{name}-udp", ServicePort(80, "dns", "UDP"))
    return [ingress(name, rule({"/n": "app:81", "/s": "app:none", "/u": f"{name}-udp:80"}, f"{name}.example")), udp]


def _no_endpoints(name: str) -> Objects:
    return [ingress(name, rule({"/": f"{name}-svc:80"}, f"{name}.example")), service(f"{name}-svc")]


def _invalid_endpoint(name: str) -> Objects:
    of = f"{name}-svc"
    listed = endpoints(of, "10.0.0.256", "fd00::1", "", "10.0.0.1%eth0", "localhost", "10.0.0.9", name=of)
    ports = tuple(EndpointPort("", port) for port in (0, -1, 65_536))
    odd = EndpointSlice(listed.metadata, "IPv4", (*listed.endpoints, Endpoint(())), (*listed.ports, *ports))
    return [ingress(name, rule({"/": f"{of}:80"}, f"{name}.example")), service(of), odd]


def _address_type(name: str) -> Objects:
    of = f"{name}-svc"
    slices = [endpoints(of, "www.example.com", name=f"{of}-{t or 0}", address_type=t) for t in ("FQDN", "IPX", "")]
    return [ingress(name, rule({"/": f"{of}:80"}, f"{name}.example")), service(of), *slices]


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
    annotated = ingress(name, rule({"/": f"{name}-svc:80"}, f"{name}.example"))
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
    return [
        ingress(name, rule({"/": f"{of}:80"}, f"{name}.example")),
        service(of, spec=ServiceSpec("ExternalName", external_name="x.y")),
    ]


def _unknown_app_protocol(name: str) -> Objects:
    of = f"{name}-svc"
    return [
        ingress(name, rule({"/": f"{of}:80"}, f"{name}.example")),
        service(of, ServicePort(80, app_protocol="carrier/pigeon")),
    ]


def _upstream_not_verified(name: str) -> Objects:
    of = f"{name}-svc"
    return [ingress(name, rule({"/": f"{of}:80"}, f"{name}.example")), service(of, protocol="https")]


def _upstream_ca_not_found(name: str) -> Objects:
    of = f"{name}-svc"
    return [
        ingress(name, rule({"/": f"{of}:80"}, f"{name}.example")),
        service(of, protocol="https", upstream_ca="gone"),
    ]


@cache
def _lasting(hours: int) -> Pair:
    """Return a key pair that is good for so many hours from now."""
    return authority().sign("a.x", lasts=timedelta(hours=hours))


def _secured(name: str, *secrets: Pair | None) -> list[Change]:
    """Return an Ingress with a certificate and what its Secret holds, one after the other; None is nothing of use."""
    entry = ingress(name, rule({"/": "app:80"}, f"{name}.example"), tls=(tls(f"{name}-cert", f"{name}.example"),))
    data = [content.data if content else {"tls.crt": b"", "tls.key": b""} for content in secrets]
    return upserts(entry, *(secret(f"{name}-cert", content) for content in data))


def _invalid_certificate(name: str) -> list[Change]:
    return _secured(name, pair("a.x"), None)


def _certificate_expired(name: str) -> list[Change]:
    return _secured(name, _lasting(-1))


def _certificate_expires_soon(name: str) -> list[Change]:
    return _secured(name, _lasting(7 * 24))


def _listening(name: str, spec: ServiceSpec, age: int | None = None) -> list[Change]:
    """Return an Ingress whose listener has a port, and the Service by which clients reach it."""
    door = front_door(name, spec=spec, balanced=(_address(name, "198.51.100"),), age=age)
    listener = ingress(name, rule({"/": "app:80"}, f"{name}.example"), listener_mode="dedicated")
    return [*upserts(listener, door), Claimed(f"default/{name}/http", 10_000 + crc32(name.encode()) % 8_000)]


def _address(name: str, network: str) -> str:
    return f"{network}.{1 + crc32(name.encode()) % 254}"


def _invalid_source_range(name: str) -> list[Change]:
    ranges = ("10.0.0.0/33", "example.com", "192.0.2.0/24")
    return _listening(name, ServiceSpec(cluster_ip=_address(name, "10.96.1"), load_balancer_source_ranges=ranges))


def _invalid_frontend(name: str) -> list[Change]:
    addresses = ("127.0.0.1", "224.0.0.1", "0.0.0.0", "10.1", "localhost")
    return _listening(name, ServiceSpec(cluster_ip=_address(name, "10.96.2"), external_ips=addresses))


def _frontend_family(name: str) -> list[Change]:
    return _listening(name, ServiceSpec(cluster_ip=_address(name, "10.96.3"), external_ips=("2001:db8::1",)))


def _frontend_conflict(name: str) -> list[Change]:
    spec = ServiceSpec(cluster_ip="None", external_ips=(_address(name, "192.0.2"),))
    return [*_listening(f"{name}-old", spec, age=1), *_listening(f"{name}-young", spec, age=2)]


def _source_ranges_not_enforced(name: str) -> list[Change]:
    """Return the Service of the shared listeners: there is one, whatever the name."""
    namespace, service_name = Settings().publish_service
    spec = ServiceSpec(load_balancer_source_ranges=("192.0.2.0/24", name))
    return upserts(service(service_name, namespace=namespace, spec=spec))


_OF_OBJECTS: dict[ProblemCode, Callable[[str], Objects]] = {
    codes.INGRESS_CLASS_UNKNOWN: _class_unknown,
    codes.INGRESS_CLASS_MISSING: _class_missing,
    codes.NAMESPACE_TERMINATING: _namespace_terminating,
    codes.INVALID_NAME: _invalid_name,
    codes.EMPTY_INGRESS: _empty,
    codes.INVALID_HOST: _invalid_host,
    codes.INVALID_PATH: _invalid_path,
    codes.PATH_TAKEN_LITERALLY: _path_taken_literally,
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
_OF_HISTORIES: dict[ProblemCode, Callable[[str], list[Change]]] = {
    codes.INVALID_CERTIFICATE: _invalid_certificate,
    codes.CERTIFICATE_EXPIRED: _certificate_expired,
    codes.CERTIFICATE_EXPIRES_SOON: _certificate_expires_soon,
    codes.INVALID_SOURCE_RANGE: _invalid_source_range,
    codes.INVALID_FRONTEND: _invalid_frontend,
    codes.FRONTEND_FAMILY_NOT_BOUND: _frontend_family,
    codes.FRONTEND_CONFLICT: _frontend_conflict,
    codes.SOURCE_RANGES_NOT_ENFORCED: _source_ranges_not_enforced,
}

BROKEN: tuple[ProblemCode, ...] = (*_OF_OBJECTS, *_OF_HISTORIES)
"""Every kind of problem that there is a generator for."""

DEDICATED = Settings()
SHARED = Settings(listener_mode=ListenerMode.SHARED)
HOST = Settings(listener_mode=ListenerMode.SHARED, expose=Expose.HOST)
SETTINGS = {"dedicated listeners": DEDICATED, "shared listeners": SHARED, "listeners on the nodes' ports": HOST}


def broken(code: ProblemCode, name: str) -> list[Change]:
    """Return changes after which there is this problem; those of one object have to come in this order."""
    return upserts(*_OF_OBJECTS[code](name)) if code in _OF_OBJECTS else _OF_HISTORIES[code](name)


def possible(settings: Settings) -> list[ProblemCode]:
    """Return the kinds of problems that there can be with these settings."""
    return [code for code in BROKEN if code is not codes.SOURCE_RANGES_NOT_ENFORCED or settings is HOST]
