"""Virtual hosts: all Ingresses' paths of one host in the order Envoy tries them.

Each is serialised on its own, as an element of a route configuration, so that a changed Ingress costs its hosts and not
all hosts of a listener.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from envoy.config.route.v3 import route_components_pb2 as components

from nodegate.model.problem import Problem
from nodegate.model.refs import Ref
from nodegate.snapshot.resource import content_hash, field_bytes, set_digest
from nodegate.translate import codes
from nodegate.translate.backends import resolve
from nodegate.translate.hosts import ANY_HOST, is_wildcard
from nodegate.translate.names import ClusterKey, ObjectName, Scheme, cause, service_ref
from nodegate.translate.options import RouteOptions
from nodegate.translate.packing import serialised
from nodegate.translate.paths import Match, PathMatch
from nodegate.translate.plan import Backend, Plan, PlannedRoute
from nodegate.translate.routes import (
    ACME,
    EVERYTHING,
    Route,
    above_acme,
    add_https_redirect,
    add_misdirected,
    add_route,
    serves_acme,
)
from nodegate.translate.upstreams import Upstream

_VIRTUAL_HOSTS_FIELD = 2  # RouteConfiguration.virtual_hosts

_NO_PROBLEMS: Mapping[Ref, tuple[Problem, ...]] = MappingProxyType({})

FindService = Callable[[ObjectName], Upstream | None]


@dataclass(frozen=True, slots=True)
class HostInput:
    """Everything that a virtual host is made of.

    ``plans`` name the host and ``fallback`` every host, oldest first: a wildcard's requests that no route of it
    matches fall through to those (ingress.md 5). ``chains`` are the filter chains its requests may come in by, any
    if empty. ``default`` answers what no route does. ``https_port`` is the one clients are redirected to, where
    ``certified`` says that there is a certificate for them; ``behind_proxy`` that a proxy in front may have received a
    plain request over HTTPS and says so.
    """

    host: str
    plans: tuple[Plan, ...]
    fallback: tuple[Plan, ...]
    schemes: tuple[Scheme, ...]
    chains: frozenset[str] = frozenset()
    default: Backend | None = None
    https_port: int = 443
    certified: bool = True
    behind_proxy: bool = False


@dataclass(frozen=True, slots=True)
class Element:
    """A virtual host of one scheme: its bytes as an element of a route configuration, and the clusters it names.

    ``digest`` is a number that stands for the bytes, to be added up.
    """

    entry: bytes
    clusters: tuple[ClusterKey, ...]
    digest: int


@dataclass(frozen=True, slots=True)
class VirtualHost:
    """One built virtual host, for each scheme, and what it depends on, each once and in order.

    Tuples and no sets: of 10,000 virtual hosts with a few clusters each they take 5 MB less.
    """

    elements: Mapping[Scheme, Element]
    services: tuple[ObjectName, ...]
    causes: tuple[Ref, ...]
    problems: Mapping[Ref, tuple[Problem, ...]]

    @property
    def clusters(self) -> set[ClusterKey]:
        """The clusters that the virtual host names under any scheme."""
        return {key for element in self.elements.values() for key in element.clusters}


@dataclass(frozen=True, slots=True)
class _Target:
    """A cluster that takes a share of a route's requests, and its Service, if there is one."""

    key: ClusterKey
    weight: int
    upstream: Upstream | None


@dataclass(frozen=True, slots=True)
class _Resolved:
    """A route and the clusters it leads to. ``redirects`` says that plain HTTP is answered by a redirect to HTTPS."""

    route: Route
    keys: frozenset[ClusterKey]
    redirects: bool


@dataclass(slots=True)
class _Build:
    """A virtual host while it is built."""

    find_service: FindService
    redirecting: bool
    resolved: list[_Resolved] = field(default_factory=list)
    services: set[ObjectName] = field(default_factory=set)
    causes: set[Ref] = field(default_factory=set)
    problems: dict[Ref, list[Problem]] = field(default_factory=dict)

    def add(self, plan: Plan, host: str, where: str, match: PathMatch, backend: Backend) -> None:
        """Add a route of an Ingress. ``host`` is the one it says, which may be less than the virtual host's."""
        options, targets = plan.options, self._targets(plan, backend)
        route = _route(cause(plan.ref, where), match, options, targets, host if is_wildcard(host) else "")
        redirects = self.redirecting and options.ssl_redirect and options.redirect_to is None and plan.has_tls(host)
        self.causes.add(plan.ref)
        keys = frozenset(target.key for target in targets)
        self.resolved.append(_Resolved(route, keys, redirects and not serves_acme(match)))

    def add_default(self, backend: Backend) -> None:
        """Add the backend of all requests that nothing else serves."""
        if backend.service is not None:
            target = self._resolve(backend.service, backend.port, service_ref(backend.service), backend.field)
            route = _route(backend.field, EVERYTHING, RouteOptions(), [target], "")
            self.resolved.append(_Resolved(route, frozenset((target.key,)), redirects=False))

    def report(self, problem: Problem) -> None:
        self.problems.setdefault(problem.ref, []).append(problem)

    def _targets(self, plan: Plan, backend: Backend) -> list[_Target]:
        if backend.service is None or plan.options.redirect_to is not None:
            return []
        namespace, name = backend.service
        targets = []
        for service, weight in plan.options.splits.get(name, ((name, 1),)):
            where = f"{backend.field}.service" if service == name else "metadata.annotations[nodegate.dev/canary]"
            targets.append(self._resolve((namespace, service), backend.port, plan.ref, where, weight))
        return targets

    def _resolve(self, service: ObjectName, port: str, ref: Ref, where: str, weight: int = 1) -> _Target:
        self.services.add(service)
        upstream = self.find_service(service)
        key, problem = resolve(service, port, upstream, ref, where)
        if problem is not None:
            self.report(problem)
        return _Target(key, weight, upstream)


def _route(name: str, match: PathMatch, options: RouteOptions, targets: list[_Target], wildcard: str) -> Route:
    weights = tuple((target.key.name, target.weight) for target in targets)
    first = targets[0].upstream if targets else None
    if first is None:
        return Route(name, match, weights, options, wildcard=wildcard)
    host = first.external_name if len(targets) == 1 else ""
    return Route(name, match, weights, options, first.affinity, host, wildcard, first.options.per_try_timeout)


def build(given: HostInput, find_service: FindService) -> VirtualHost:
    """Return a virtual host for each scheme."""
    build = _Build(find_service, given.certified)
    _add_ingresses(build, given.host, given.plans)
    _add_ingresses(build, ANY_HOST, given.fallback)
    if given.default is not None:
        build.add_default(given.default)
    elements = {scheme: _element(given, scheme, build.resolved) for scheme in given.schemes}
    problems = {ref: tuple(sorted(set(found))) for ref, found in build.problems.items()} or _NO_PROBLEMS
    return VirtualHost(elements, tuple(sorted(build.services)), tuple(sorted(build.causes)), problems)


def _add_ingresses(build: _Build, host: str, plans: Iterable[Plan]) -> None:
    """Add what Ingresses, oldest first, say of a host, then the oldest default backend among them (ingress.md 6)."""
    plans = list(plans)
    for plan, route in _winners(host, plans, build):
        build.add(plan, host, route.field, route.match, route.backend)
    defaults = [(plan, plan.default) for plan in plans if plan.default is not None]
    if defaults:
        plan, backend = defaults[0]
        build.add(plan, host, backend.field, EVERYTHING, backend)
    if host == ANY_HOST:
        for loser, _ in defaults[1:]:
            message = f"Requests for hosts that no Ingress names go to the default backend of the older {plan.ref}."
            build.report(codes.DEFAULT_BACKEND_CONFLICT.found(loser.ref, "spec.defaultBackend", message))


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


def _element(given: HostInput, scheme: Scheme, resolved: Iterable[_Resolved]) -> Element:
    message = components.VirtualHost(name=given.host, domains=[given.host])
    if scheme is Scheme.HTTPS and given.chains:
        add_misdirected(message.routes, given.chains)
    clusters: set[ClusterKey] = set()
    for item in _of_scheme(resolved, scheme):
        if item.redirects:
            add_https_redirect(message.routes, item.route, given.https_port, unless_secure=given.behind_proxy)
            if not given.behind_proxy:
                continue
        add_route(message.routes, item.route)
        clusters |= item.keys
    entry = field_bytes(_VIRTUAL_HOSTS_FIELD, serialised(message))
    return Element(entry, tuple(sorted(clusters)), set_digest(given.host, content_hash(entry)))


def _of_scheme(resolved: Iterable[_Resolved], scheme: Scheme) -> Iterator[_Resolved]:
    """Yield the routes as they are served under a scheme; only plain HTTP may differ from what Ingresses say."""
    for item in resolved:
        if scheme is Scheme.HTTPS:
            yield replace(item, redirects=False)
        elif item.route.options.allow_http:
            if item.redirects and above_acme(item.route.match):
                exempt = replace(item.route, match=PathMatch(Match.PREFIX, ACME))
                yield _Resolved(exempt, item.keys, redirects=False)
            yield item
