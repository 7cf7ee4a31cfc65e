"""Makes again what a step has marked: virtual hosts, route configurations, listeners, clusters and endpoints."""

from __future__ import annotations

from nodegate.model.refs import Ref
from nodegate.snapshot.resource import Resource
from nodegate.snapshot.type_urls import CLUSTER, ENDPOINT, LISTENER, ROUTE
from nodegate.translate.certifying import authority_fault, has_default
from nodegate.translate.clusters import cluster
from nodegate.translate.endpoints import assignment
from nodegate.translate.frontends import Frontend
from nodegate.translate.hosts import ANY_HOST, is_wildcard
from nodegate.translate.index import Index, Unit
from nodegate.translate.listeners import Chain, Place, listener
from nodegate.translate.names import ClusterKey, ObjectName, Scheme, listener_name, route_name
from nodegate.translate.plan import Backend, Plan
from nodegate.translate.redirecting import mark_redirects
from nodegate.translate.route_table import RouteTable, route_configuration
from nodegate.translate.settings import Expose, Settings
from nodegate.translate.tls import DEFAULT_CHAIN
from nodegate.translate.virtual_hosts import HostInput, VirtualHost, build


def make_virtual_hosts(index: Index) -> None:
    """Make the marked virtual hosts, and mark the clusters that came into use or out of it."""
    for unit in index.dirty.units:
        frontend, host = index.frontends[unit[0]], unit[1]
        before = frontend.built.pop(host, None)
        given = _host_input(index, frontend, host)
        made = None
        if given is not None:
            index.work["virtual host"] += 1
            made = frontend.built[host] = build(given, index.objects.services.get)
        for scheme, table in frontend.tables.items():
            table.put(host, made if made and scheme in made.elements else None)
        index.findings.replace(unit, made.problems if made else {})
        _follow(index, unit, before, made)
        index.dirty.routes.add(frontend.name)


def _host_input(index: Index, frontend: Frontend, host: str) -> HostInput | None:
    """Return everything the virtual host of a host is made of; None when there is to be none."""
    plans, settings = _plans(index, frontend, host), index.settings
    default = _default_backend(settings)
    if not plans and not (host == ANY_HOST and default and frontend.members):
        return None
    return HostInput(
        host,
        plans,
        _plans(index, frontend, ANY_HOST) if is_wildcard(host) else (),
        frontend.schemes(settings),
        frontend.chains.serving(host),
        default,
        settings.https_port if _on_host(index, frontend) else 443,
        frontend.chains.has(host) or frontend.default_secret is not None or has_default(index),
        settings.trusted_hops > 0,
    )


def _default_backend(settings: Settings) -> Backend | None:
    if settings.default_backend is None:
        return None
    namespace, service, port = settings.default_backend
    return Backend((namespace, service), port, "default backend")


def _plans(index: Index, frontend: Frontend, host: str) -> tuple[Plan, ...]:
    """Return the plans of the Ingresses that name a host, oldest first."""
    return tuple(sorted((index.plans[name] for name in frontend.hosts.get(host, ())), key=lambda plan: plan.age))


def _follow(index: Index, unit: Unit, before: VirtualHost | None, now: VirtualHost | None) -> None:
    """Note what a virtual host uses now instead of before."""
    clusters = (before.clusters if before else (), now.clusters if now else ())
    first, last = index.cluster_users.replace(unit, *clusters)
    for key in first:
        index.clusters_of.replace(key, (), (key.service,))
    for key in last:
        index.clusters_of.replace(key, (key.service,), ())
    index.dirty.clusters |= first | last
    index.dirty.endpoints |= first | last
    index.service_users.replace(unit, before.services if before else (), now.services if now else ())


def make_routes(index: Index) -> None:
    """Join the route configurations of frontends with a changed virtual host, and of new ones."""
    for name in index.dirty.routes | index.dirty.frontends:
        frontend = index.frontends.get(name)
        schemes = frontend.schemes(index.settings) if frontend else ()
        for scheme in Scheme:
            route = route_name(name, scheme)
            if frontend is None or scheme not in schemes:
                index.withdraw((ROUTE, route))
                if frontend is not None:
                    frontend.tables.pop(scheme, None)
            elif name in index.dirty.routes or (ROUTE, route) not in index.emitted:
                index.work["route configuration"] += 1
                index.emit(_route_configuration(frontend, route, scheme))


def _route_configuration(frontend: Frontend, name: str, scheme: Scheme) -> Resource:
    """Join a route configuration; a table is kept from the first time on where many Ingresses share one."""
    if not frontend.is_shared:
        return route_configuration(name, scheme, frontend.built)
    table = frontend.tables.get(scheme)
    if table is None:
        table = frontend.tables[scheme] = RouteTable(name, scheme)
        for host, built in frontend.built.items():
            table.put(host, built)
    return table.resource()


def make_listeners(index: Index) -> None:
    """Make the listeners of marked frontends, and forget those frontends that are no more."""
    for name in index.dirty.frontends:
        frontend = index.frontends.get(name)
        schemes = frontend.schemes(index.settings) if frontend else ()
        (index.https.add if Scheme.HTTPS in schemes else index.https.discard)(name)
        for scheme in Scheme:
            base = route_name(name, scheme)
            port = _port(index, base, scheme, frontend) if frontend and scheme in schemes else None
            if frontend is None or port is None:
                _close(index, base, None)
                if scheme not in schemes:
                    index.want(base, None)
            else:
                _listen(index, frontend, base, scheme, port)
        mark_redirects(index, name)
        if frontend is not None and not schemes:
            del index.frontends[name]


def _port(index: Index, base: str, scheme: Scheme, frontend: Frontend) -> int | None:
    """Return the port a listener is to have; None until it has been claimed. One on the node's own ports needs none."""
    if _on_host(index, frontend):
        return index.settings.http_port if scheme is Scheme.HTTP else index.settings.https_port
    index.want(base, scheme.service_port)
    return index.objects.claims.get(base)


def _on_host(index: Index, frontend: Frontend) -> bool:
    """Say whether a frontend's listeners bind the node's own ports."""
    return frontend.is_shared and index.settings.expose is Expose.HOST


def _listen(index: Index, frontend: Frontend, base: str, scheme: Scheme, port: int) -> None:
    """Make one listener; one of the same name at another port goes (DESIGN 3.5)."""
    chains = _chains(index, frontend) if scheme is Scheme.HTTPS else ()
    if scheme is Scheme.HTTPS and not chains:
        _close(index, base, None)  # Envoy refuses a listener without any filter chain
        return
    _close(index, base, port)
    index.work["listener"] += 1
    index.listening[base] = port
    place = Place(base, port, scheme, redirected=not _on_host(index, frontend))
    index.emit(listener(place, index.settings, chains, frontend.chain_bytes, _causes(index, frontend, scheme)))


def _causes(index: Index, frontend: Frontend, scheme: Scheme) -> tuple[Ref, ...]:
    """Return what a listener is made from; on shared ones that is only what declares TLS, the rest is in its routes."""
    names = frontend.members
    if frontend.is_shared:
        names = set().union(*frontend.declared.values()) if scheme is Scheme.HTTPS else set()
    return tuple(sorted(index.plans[name].ref for name in names))


def _close(index: Index, base: str, unless: int | None) -> None:
    """Take out a listener, unless it is at this port."""
    before = index.listening.pop(base, None)
    if before is not None and before != unless:
        index.withdraw((LISTENER, listener_name(base, before)))


def _chains(index: Index, frontend: Frontend) -> tuple[Chain, ...]:
    """Return the filter chains of an HTTPS listener: one per Secret, and one for all other names."""
    hosts_of = frontend.chains.hosts_of
    chains = [Chain(name, tuple(sorted(hosts_of[name])), name) for name in sorted(hosts_of)]
    if frontend.default_secret is not None:
        chains.append(Chain(DEFAULT_CHAIN, (), "/".join(frontend.default_secret)))
    elif has_default(index):
        chains.append(Chain(DEFAULT_CHAIN, (), DEFAULT_CHAIN))
    return tuple(chains)


def make_clusters(index: Index) -> None:
    """Make the marked clusters, or take them out where no route leads to them any more."""
    for key in index.dirty.clusters:
        before = index.authorities.pop(key, frozenset())
        if key not in index.cluster_users:
            index.withdraw((CLUSTER, key.name))
            index.findings.replace(("cluster", key), {})
            now: frozenset[ObjectName] = frozenset()
            index.without_discovery.discard(key)
        else:
            now = _make_cluster(index, key)
        first, last = index.authority_users.replace(key, before, now)
        index.dirty.secrets |= first | last


def _make_cluster(index: Index, key: ClusterKey) -> frozenset[ObjectName]:
    """Make one cluster; return the Secret that verifies its endpoints, if any."""
    index.work["cluster"] += 1
    upstream = index.objects.services.get(key.service)
    made = cluster(key, upstream, index.settings, lambda secret: authority_fault(index, secret))
    problems = dict(made.problems)
    if upstream is not None and upstream.problems:
        ref = upstream.service.ref
        problems[ref] = tuple(sorted({*problems.get(ref, ()), *upstream.problems}))
    index.findings.replace(("cluster", key), problems)
    index.emit(made.resource)
    (index.closed.add if made.closed else index.closed.discard)(key)
    (index.without_discovery.discard if made.discovers else index.without_discovery.add)(key)
    authorities = frozenset((made.authority,)) if made.authority else frozenset()
    if authorities:
        index.authorities[key] = authorities
    return authorities


def make_endpoints(index: Index) -> None:
    """Make the ClusterLoadAssignments of marked clusters, or take them out where there is no such cluster."""
    for key in index.dirty.endpoints:
        if key not in index.cluster_users or key in index.without_discovery:
            index.withdraw((ENDPOINT, key.name))
            index.findings.replace(("endpoints", key), {})
            continue
        index.work["endpoints"] += 1
        slices = index.objects.slices.get(key.service, ())
        made = assignment(key, index.objects.services.get(key.service), slices, closed=key in index.closed)
        index.findings.replace(("endpoints", key), made.problems)
        index.emit(made.entry)
