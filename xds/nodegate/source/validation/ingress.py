"""Ingress and IngressClass (``pkg/apis/networking/validation``)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from nodegate.model.objects import (
    HTTPIngressPath,
    Ingress,
    IngressBackend,
    IngressClass,
    IngressRule,
    IngressServiceBackend,
    IngressTLS,
    TypedLocalObjectReference,
)
from nodegate.source import codes
from nodegate.source.finding import Finding, Path
from nodegate.source.validation.names import (
    dns_label_fault,
    dns_subdomain_fault,
    host_fault,
    port_name_fault,
    port_number_fault,
)

_PATH_TYPES = ("Exact", "ImplementationSpecific", "Prefix")
_NEVER_IN_PATHS = ("//", "/./", "/../", "%2f", "%2F")
_NEVER_AT_END = ("/..", "/.")
_CONTROLLER = re.compile(r"[^/]+/[-A-Za-z0-9/._~%!$&'()*+,;=:]+\Z")
_CONTROLLER_LIMIT = 250


def check_ingress(ingress: Ingress) -> Iterator[Finding]:
    """Yield what an API server refuses in an Ingress at any time.

    Two classes that differ, in the annotation and in the field, it refuses on create only: a cluster may hold them.
    """
    spec = ingress.spec
    if not spec.rules and spec.default_backend is None:
        yield _invalid(("spec",), "The Ingress has neither rules nor defaultBackend, and needs one of them.")
    if spec.default_backend is not None:
        yield from _backend(spec.default_backend, ("spec", "defaultBackend"))
    for index, rule in enumerate(spec.rules):
        yield from _rule(rule, ("spec", "rules", index))
    for index, tls in enumerate(spec.tls):
        yield from _tls(tls, ("spec", "tls", index))
    if spec.ingress_class_name is not None and (fault := dns_subdomain_fault(spec.ingress_class_name)):
        yield _invalid(("spec", "ingressClassName"), f"The class {fault}.")


def check_ingress_class(ingress_class: IngressClass) -> Iterator[Finding]:
    """Yield what an API server refuses in an IngressClass."""
    controller, path = ingress_class.spec.controller, ("spec", "controller")
    if not controller:
        yield Finding(codes.MISSING_FIELD, path, "An IngressClass must name its controller.")
    elif len(controller) > _CONTROLLER_LIMIT:
        yield _invalid(path, f"The controller is longer than {_CONTROLLER_LIMIT} characters.")
    elif not _CONTROLLER.match(controller) or dns_subdomain_fault(controller.split("/")[0]):
        yield _invalid(path, f"The controller {controller!r} is not a DNS name, '/' and a path, like example.com/name.")


def _rule(rule: IngressRule, path: Path) -> Iterator[Finding]:
    if rule.host and (fault := host_fault(rule.host)):
        yield _invalid((*path, "host"), f"The host {fault}.")
    if rule.http is None:
        return
    if not rule.http.paths:
        yield Finding(codes.MISSING_FIELD, (*path, "http", "paths"), "A rule with http must have paths.")
    for index, http_path in enumerate(rule.http.paths):
        yield from _http_path(http_path, (*path, "http", "paths", index))


def _http_path(http_path: HTTPIngressPath, path: Path) -> Iterator[Finding]:
    if http_path.path_type in {"Exact", "Prefix"}:
        yield from _strict_path(http_path.path, (*path, "path"))
    elif http_path.path_type not in _PATH_TYPES:
        message = f"The pathType {http_path.path_type!r} is none of {', '.join(_PATH_TYPES)}."
        yield _invalid((*path, "pathType"), message)
    elif http_path.path and not http_path.path.startswith("/"):
        yield _invalid((*path, "path"), f"The path {http_path.path!r} must start with '/'.")
    yield from _backend(http_path.backend, (*path, "backend"))


def _strict_path(text: str, path: Path) -> Iterator[Finding]:
    if not text.startswith("/"):
        yield _invalid(path, f"The path {text!r} must start with '/'.")
    for never in _NEVER_IN_PATHS:
        if never in text:
            yield _invalid(path, f"The path {text!r} must not contain {never!r}.")
    for never in _NEVER_AT_END:
        if text.endswith(never):
            yield _invalid(path, f"The path {text!r} must not end with {never!r}.")


def _backend(backend: IngressBackend, path: Path) -> Iterator[Finding]:
    match backend:
        case IngressBackend(service=None, resource=None):
            yield Finding(codes.MISSING_FIELD, path, "The backend has neither service nor resource, and needs one.")
        case IngressBackend(service=None, resource=TypedLocalObjectReference() as resource):
            yield from _resource(resource, (*path, "resource"))
        case IngressBackend(service=IngressServiceBackend() as service, resource=None):
            yield from _service(service, (*path, "service"))
        case _:
            yield _invalid(path, "The backend has both service and resource, and may have only one.")


def _service(service: IngressServiceBackend, path: Path) -> Iterator[Finding]:
    if fault := dns_label_fault(service.name):
        yield _invalid((*path, "name"), f"The Service name {fault}.")
    name, number = service.port.name, service.port.number
    if name and number:
        yield _invalid((*path, "port"), "The port has both name and number, and may have only one.")
    elif name:
        if fault := port_name_fault(name):
            yield _invalid((*path, "port", "name"), f"The port {fault}.")
    elif not number:
        yield Finding(codes.MISSING_FIELD, (*path, "port"), "The port has neither name nor number, and needs one.")
    elif fault := port_number_fault(number):
        yield _invalid((*path, "port", "number"), f"The port {fault}.")


def _resource(resource: TypedLocalObjectReference, path: Path) -> Iterator[Finding]:
    for field, value in (("kind", resource.kind), ("name", resource.name)):
        if not value:
            yield Finding(codes.MISSING_FIELD, (*path, field), f"The resource has no {field}.")


def _tls(tls: IngressTLS, path: Path) -> Iterator[Finding]:
    for index, host in enumerate(tls.hosts):
        if fault := host_fault(host):
            yield _invalid((*path, "hosts", index), f"The host {fault}.")
    if tls.secret_name and (fault := dns_subdomain_fault(tls.secret_name)):
        yield _invalid((*path, "secretName"), f"The Secret name {fault}.")


def _invalid(path: Path, message: str, remedy: str = "") -> Finding:
    return Finding(codes.INVALID_VALUE, path, message, remedy)
