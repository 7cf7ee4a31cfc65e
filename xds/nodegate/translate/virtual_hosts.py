"""Virtual hosts: all Ingresses' paths of one host in the order Envoy tries them, and route configurations of them.

A virtual host is serialised on its own, and a route configuration is a concatenation, so that a changed Ingress costs
its hosts and not all hosts of a listener.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from envoy.config.route.v3 import route_components_pb2 as components
from envoy.config.route.v3 import route_pb2

from nodegate.model.objects import Service
from nodegate.model.problem import Problem
from nodegate.model.refs import Ref
from nodegate.snapshot.resource import Resource, field_bytes
from nodegate.snapshot.type_urls import CLUSTER, ROUTE
from nodegate.translate import codes
from nodegate.translate.backends import resolve
from nodegate.translate.names import ClusterKey, ObjectName, cause
from nodegate.translate.packing import serialised
from nodegate.translate.paths import Match, PathMatch
from nodegate.translate.plan import ANY_HOST, Backend, Plan, PlannedRoute
from nodegate.translate.routes import add_route, retry_policy

_VIRTUAL_HOSTS_FIELD = 2  # RouteConfiguration.virtual_hosts
_NAME_FIELD = 1  # RouteConfiguration.name
_EVERYTHING = PathMatch(Match.PREFIX, "/")

FindService = Callable[[ObjectName], Service | None]


@dataclass(slots=True)
class VirtualHost:
    """One built virtual host: its bytes as an element of a route configuration, and what it depends on."""

    entry: bytes
    clusters: frozenset[ClusterKey]
    services: frozenset[ObjectName]
    causes: frozenset[Ref]
    problems: Mapping[Ref, tuple[Problem, ...]]


@dataclass(slots=True)
class _Build:
    """A virtual host while it is built."""

    find_service: FindService
    message: components.VirtualHost
    clusters: set[ClusterKey] = field(default_factory=set)
    services: set[ObjectName] = field(default_factory=set)
    causes: set[Ref] = field(default_factory=set)
    problems: dict[Ref, list[Problem]] = field(default_factory=dict)

    def add(self, plan: Plan, where: str, match: PathMatch, backend: Backend) -> None:
        service = None
        if backend.service is not None:
            self.services.add(backend.service)
            service = self.find_service(backend.service)
        cluster, problem = resolve(backend, service, plan.ref)
        if cluster is not None:
            self.clusters.add(cluster)
        if problem is not None:
            self.report(problem)
        self.causes.add(plan.ref)
        add_route(self.message.routes, cause(plan.ref, where), match, cluster.name if cluster else None)

    def report(self, problem: Problem) -> None:
        self.problems.setdefault(problem.ref, []).append(problem)

    def finish(self) -> VirtualHost:
        return VirtualHost(
            field_bytes(_VIRTUAL_HOSTS_FIELD, serialised(self.message)),
            frozenset(self.clusters),
            frozenset(self.services),
            frozenset(self.causes),
            {ref: tuple(sorted(problems)) for ref, problems in self.problems.items()},
        )


def build(host: str, plans: Iterable[Plan], find_service: FindService) -> VirtualHost:
    """Return the virtual host of ``host`` for these Ingresses, whose order does not matter."""
    oldest_first = sorted(plans, key=lambda plan: plan.age)
    build = _Build(find_service, components.VirtualHost(name=host, domains=[host]))
    build.message.retry_policy.CopyFrom(_RETRY_POLICY)
    for plan, route in _winners(host, oldest_first, build):
        build.add(plan, route.field, route.match, route.backend)
    default = _default_backend(host, oldest_first)
    if default is not None:
        plan, backend = default
        build.add(plan, backend.field, _EVERYTHING, backend)
    return build.finish()


def _winners(host: str, plans: Iterable[Plan], build: _Build) -> list[tuple[Plan, PlannedRoute]]:
    """Return one route per comparison, most specific first; the losers are told (ingress.md 11, 16)."""
    won: dict[PathMatch, tuple[Plan, PlannedRoute]] = {}
    for plan in plans:
        for route in plan.routes:
            if route.host != host:
                continue
            winner, winning = won.setdefault(route.match, (plan, route))
            if winning is not route:
                build.report(_conflict(plan, route, winner, winning))
    return [won[match] for match in sorted(won, key=lambda match: match.order)]


def _conflict(plan: Plan, route: PlannedRoute, winner: Plan, winning: PlannedRoute) -> Problem:
    by = f"{winning.field} of the same Ingress" if winner is plan else f"the older {winner.ref}, {winning.field}"
    host = "every host" if route.host == ANY_HOST else f"host {route.host}"
    return codes.PATH_CONFLICT.found(plan.ref, route.field, f"The {route.match} of {host} is already served by {by}.")


def _default_backend(host: str, plans: Iterable[Plan]) -> tuple[Plan, Backend] | None:
    """Return the oldest default backend among the Ingresses that name the host (ingress.md 6)."""
    for plan in plans:
        if plan.default is not None and (host == ANY_HOST or host in plan.hosts):
            return plan, plan.default
    return None


def route_configuration(name: str, hosts: Mapping[str, VirtualHost]) -> Resource:
    """Return a listener's route configuration from its virtual hosts."""
    ordered = [hosts[host] for host in sorted(hosts)]
    body = [field_bytes(_NAME_FIELD, name.encode()), *(host.entry for host in ordered), _ROUTE_CONFIGURATION_END]
    clusters = sorted(frozenset().union(*(host.clusters for host in ordered)))
    causes = sorted(frozenset().union(*(host.causes for host in ordered)))
    refs = tuple((CLUSTER, cluster.name) for cluster in clusters)
    return Resource(ROUTE, name, b"".join(body), refs=refs, causes=tuple(causes))


_RETRY_POLICY = retry_policy()
# Hosts of an Ingress have no port, but `Host: h:8080` names the same host (ingress.md 2). Its field number is above
# that of virtual_hosts, so the concatenation is what serialising the whole message gives.
_ROUTE_CONFIGURATION_END = serialised(route_pb2.RouteConfiguration(ignore_port_in_host_matching=True))
