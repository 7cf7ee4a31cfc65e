"""An Ingress as routes: a function of the Ingress alone. What it refers to is looked up later."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from nodegate.model.objects import HTTPIngressPath, Ingress, IngressBackend, IngressRule
from nodegate.model.problem import Problem, ProblemCode
from nodegate.model.refs import Ref
from nodegate.translate import codes
from nodegate.translate.ingress_class import created
from nodegate.translate.names import ObjectName
from nodegate.translate.paths import PATH_TYPES, PathMatch, path_fault, path_match

ANY_HOST = "*"

_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_HOST = re.compile(rf"(\*\.)?{_LABEL}(\.{_LABEL})*")
_IPV4 = re.compile(r"[0-9.]+")
_LONGEST_HOST = 253
_NAME = re.compile(rf"{_LABEL}(\.{_LABEL})*")


@dataclass(frozen=True, slots=True)
class Backend:
    """Where a route leads: a Service and its port as the Ingress says it, a number or a name, as text.

    ``service`` None means it can lead nowhere, whatever exists: requests answer 503.
    """

    service: ObjectName | None
    port: str
    field: str


@dataclass(frozen=True, slots=True)
class PlannedRoute:
    """One path of one host. ``field`` is the path in the object that says it."""

    host: str
    match: PathMatch
    backend: Backend
    field: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What one Ingress asks for.

    ``hosts`` are those its rules name, ``*`` for a rule without one; a host may have no route. ``age`` orders
    Ingresses, oldest first: creation time, then namespace and name (ingress.md 16).
    """

    ref: Ref
    age: tuple[datetime, str, str]
    routes: tuple[PlannedRoute, ...]
    hosts: frozenset[str]
    default: Backend | None
    problems: tuple[Problem, ...]

    @property
    def name(self) -> ObjectName:
        """Namespace and name of the Ingress."""
        return (self.ref.namespace, self.ref.name)


def plan(ingress: Ingress) -> Plan:
    """Return what an Ingress asks for, without the parts that are wrong in themselves; those are its problems."""
    planner = _Planner(ingress)
    hosts, routes = planner.rules(ingress.spec.rules)
    default = None
    if ingress.spec.default_backend is not None:
        default = planner.backend(ingress.spec.default_backend, "spec.defaultBackend")
        hosts.add(ANY_HOST)
    if not ingress.spec.rules and default is None:
        planner.report(codes.EMPTY_INGRESS, "spec", "The Ingress has neither rules nor a default backend.")
    metadata = ingress.metadata
    age = (created(metadata.creation_timestamp), metadata.namespace, metadata.name)
    return Plan(ingress.ref, age, tuple(routes), frozenset(hosts), default, tuple(planner.problems))


def name_fault(ingress: Ingress) -> str:
    """Say why no resource can be named after the Ingress, as a sentence; empty when one can."""
    for what, name in (("name", ingress.metadata.name), ("namespace", ingress.metadata.namespace)):
        if not _NAME.fullmatch(name):
            return f"The {what} {name!r} is no Kubernetes name."
    return ""


def host_fault(host: str) -> str:
    """Say why a host of a rule or of ``tls`` cannot be served, as a sentence; empty when it can."""
    if len(host) > _LONGEST_HOST or not _HOST.fullmatch(host):
        return f"The host {host!r} is neither a DNS name nor '*.' and a DNS name."
    if _IPV4.fullmatch(host):
        return f"The host {host!r} is an IP address."
    return ""


class _Planner:
    """Reads one Ingress and collects its problems on the way."""

    def __init__(self, ingress: Ingress) -> None:
        self._ref = ingress.ref
        self.problems: list[Problem] = []

    def report(self, code: ProblemCode, field: str, message: str) -> None:
        self.problems.append(code.found(self._ref, field, message))

    def rules(self, rules: Iterable[IngressRule]) -> tuple[set[str], list[PlannedRoute]]:
        hosts: set[str] = set()
        routes: list[PlannedRoute] = []
        for number, rule in enumerate(rules):
            field = f"spec.rules[{number}]"
            host = rule.host.lower() or ANY_HOST
            if host != ANY_HOST and (fault := host_fault(host)):
                self.report(codes.INVALID_HOST, f"{field}.host", fault)
                continue
            hosts.add(host)
            routes.extend(self._paths(rule, host, field))
        return hosts, routes

    def _paths(self, rule: IngressRule, host: str, field: str) -> Iterator[PlannedRoute]:
        for number, path in enumerate(rule.http.paths if rule.http else ()):
            where = f"{field}.http.paths[{number}]"
            if self._accepts(path, where):
                match = path_match(path.path_type, path.path)
                yield PlannedRoute(host, match, self.backend(path.backend, f"{where}.backend"), where)

    def _accepts(self, path: HTTPIngressPath, where: str) -> bool:
        if path.path_type not in PATH_TYPES:
            message = f"The pathType {path.path_type!r} is none of {', '.join(PATH_TYPES)}."
            self.report(codes.INVALID_PATH_TYPE, f"{where}.pathType", message)
            return False
        if fault := path_fault(path.path_type, path.path):
            self.report(codes.INVALID_PATH, f"{where}.path", fault)
            return False
        return True

    def backend(self, backend: IngressBackend, field: str) -> Backend:
        if backend.service is None and backend.resource is not None:
            what = f"{backend.resource.kind} {backend.resource.name}"
            self.report(codes.RESOURCE_BACKEND, f"{field}.resource", f"The backend is the resource {what}.")
            return Backend(None, "", field)
        service = backend.service
        if service is None or not _NAME.fullmatch(service.name) or bool(service.port.name) == bool(service.port.number):
            self.report(codes.INVALID_BACKEND, field, "The backend does not name one Service and one port of it.")
            return Backend(None, "", field)
        return Backend((self._ref.namespace, service.name), service.port.name or str(service.port.number), field)
