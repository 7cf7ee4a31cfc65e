"""An Ingress as routes: a function of the Ingress alone. What it refers to is looked up later."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from sys import intern

from nodegate.model.objects import HTTPIngressPath, Ingress, IngressBackend, IngressRule, IngressTLS
from nodegate.model.problem import Problem, ProblemCode
from nodegate.model.refs import Ref
from nodegate.translate import codes
from nodegate.translate.annotations import ingress_options
from nodegate.translate.hosts import ANY_HOST, covers, host_fault
from nodegate.translate.ingress_class import created
from nodegate.translate.names import ObjectName
from nodegate.translate.options import RouteOptions
from nodegate.translate.paths import PATH_TYPES, PathMatch, looks_like_pattern, path_fault, path_match

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")


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
class PlannedTLS:
    """Hosts served with one Secret's certificate, or, without a Secret, with the default certificate.

    ``hosts`` may hold ``*``: clients that ask for no host of their own (ingress.md 37).
    """

    hosts: tuple[str, ...]
    secret: ObjectName | None
    field: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What one Ingress asks for.

    ``hosts`` are those its rules name, in order, ``*`` for a rule without one; a host may have no route. ``age`` orders
    Ingresses, oldest first: creation time, then namespace and name (ingress.md 16).
    """

    ref: Ref
    age: tuple[datetime, str, str]
    routes: tuple[PlannedRoute, ...]
    hosts: tuple[str, ...]
    default: Backend | None
    tls: tuple[PlannedTLS, ...]
    options: RouteOptions
    problems: tuple[Problem, ...]

    @property
    def name(self) -> ObjectName:
        """Namespace and name of the Ingress."""
        return (self.ref.namespace, self.ref.name)

    def has_tls(self, host: str) -> bool:
        """Say whether this Ingress declares TLS for a host, by name or by a wildcard over it."""
        declared = [name for entry in self.tls for name in entry.hosts]
        return any(name == host or covers(name, host) for name in declared)


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
    ordered = tuple(sorted(hosts))
    tls = planner.tls(ingress.spec.tls, ordered)
    metadata = ingress.metadata
    age = (created(metadata.creation_timestamp), metadata.namespace, metadata.name)
    return Plan(ingress.ref, age, tuple(routes), ordered, default, tls, planner.options, tuple(planner.problems))


def name_fault(ingress: Ingress) -> str:
    """Say why no resource can be named after the Ingress, as a sentence; empty when one can."""
    for what, name in (("name", ingress.metadata.name), ("namespace", ingress.metadata.namespace)):
        if not _NAME.fullmatch(name):
            return f"The {what} {name!r} is no Kubernetes name."
    return ""


class _Planner:
    """Reads one Ingress and collects its problems on the way."""

    def __init__(self, ingress: Ingress) -> None:
        self._ref = ingress.ref
        self.options, problems = ingress_options(ingress)
        self.problems = list(problems)

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
            where = intern(f"{field}.http.paths[{number}]")  # as in most other Ingresses: one string for all
            if self._accepts(path, where):
                match = path_match(path.path_type, path.path, self.options.path_regex)
                yield PlannedRoute(host, match, self.backend(path.backend, intern(f"{where}.backend")), where)

    def _accepts(self, path: HTTPIngressPath, where: str) -> bool:
        if path.path_type not in PATH_TYPES:
            message = f"The pathType {path.path_type!r} is none of {', '.join(PATH_TYPES)}."
            self.report(codes.INVALID_PATH_TYPE, f"{where}.pathType", message)
            return False
        if fault := path_fault(path.path_type, path.path, self.options.path_regex):
            self.report(codes.INVALID_PATH, f"{where}.path", fault)
            return False
        if looks_like_pattern(path.path_type, path.path, self.options.path_regex):
            message = f"The path {path.path!r} is compared as it stands, as a prefix."
            self.report(codes.PATH_TAKEN_LITERALLY, f"{where}.path", message)
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
        return Backend(
            (self._ref.namespace, service.name), service.port.name or intern(str(service.port.number)), field
        )

    def tls(self, entries: Iterable[IngressTLS], rule_hosts: tuple[str, ...]) -> tuple[PlannedTLS, ...]:
        planned = []
        for number, entry in enumerate(entries):
            field = f"spec.tls[{number}]"
            hosts = tuple(self._tls_hosts(entry, field)) if entry.hosts else rule_hosts
            secret = (self._ref.namespace, entry.secret_name) if entry.secret_name else None
            if hosts:
                planned.append(PlannedTLS(tuple(dict.fromkeys(hosts)), secret, field))
        return tuple(planned)

    def _tls_hosts(self, entry: IngressTLS, field: str) -> Iterator[str]:
        for number, host in enumerate(entry.hosts):
            if fault := host_fault(host.lower()):
                self.report(codes.INVALID_HOST, f"{field}.hosts[{number}]", fault)
            else:
                yield host.lower()
