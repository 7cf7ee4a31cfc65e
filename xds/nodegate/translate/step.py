"""The one entry of translation: ``step`` applies changes and says which resources are different for it."""

from __future__ import annotations

from collections.abc import Iterable

from nodegate.model.changes import Change
from nodegate.model.objects import Ingress
from nodegate.model.problem import Problem
from nodegate.snapshot.type_urls import CLUSTER, ENDPOINT, LISTENER, ROUTE
from nodegate.translate import codes
from nodegate.translate.clusters import cluster
from nodegate.translate.endpoints import assignment
from nodegate.translate.index import Dirty, Frontend, Index, Unit
from nodegate.translate.ingress_class import is_ours
from nodegate.translate.intake import take
from nodegate.translate.listeners import listener
from nodegate.translate.names import ClusterKey, ObjectName, Scheme, ingress_ref, listener_name, route_name
from nodegate.translate.plan import Plan, name_fault, plan
from nodegate.translate.result import Changed
from nodegate.translate.settings import Settings
from nodegate.translate.virtual_hosts import build, route_configuration


def step(index: Index, changes: Iterable[Change]) -> tuple[Index, Changed]:
    """Apply changes as one and return the index and the difference they make.

    The index passed in is modified and returned: do not use it again under its old name. What changes cost is in
    proportion to what depends on them: an EndpointSlice makes its Service's ClusterLoadAssignments, an Ingress its
    hosts; only an IngressClass concerns every Ingress. After any history the resources are those of :func:`full` of
    the objects that are left, byte for byte. Nothing is raised whatever the objects hold.
    """
    for change in changes:
        take(index, change)
    _replan(index)
    _make_virtual_hosts(index)
    _make_routes(index)
    _make_listeners(index)
    _make_clusters(index)
    _make_endpoints(index)
    changed = Changed(index.changed, index.findings.take_changed(), index.wanted_changed)
    index.changed, index.wanted_changed, index.dirty = {}, {}, Dirty()
    return index, changed


def full(settings: Settings, changes: Iterable[Change]) -> Changed:
    """Return everything that is made of these objects and claims: one step from nothing."""
    return step(Index.new(settings), changes)[1]


def _replan(index: Index) -> None:
    """Make the plans of changed Ingresses, and mark the hosts they had and have."""
    for name in index.dirty.ingresses:
        ingress = index.objects.ingresses.get(name)
        planned, problems = _plan(index, ingress) if ingress else (None, ())
        index.findings.replace(name, {ingress_ref(name): problems})
        before = index.plans.pop(name, None)
        if before is not None:
            _leave(index, before)
        if planned is not None:
            index.plans[name] = planned
            _join(index, planned)


def _plan(index: Index, ingress: Ingress) -> tuple[Plan | None, tuple[Problem, ...]]:
    """Return what an Ingress asks for, or None when it is not ours to serve, and its problems."""
    if ingress.metadata.deletion_timestamp is not None:
        return None, ()
    ours, problems = is_ours(ingress, index.objects.classes, index.settings)
    if not ours:
        return None, problems
    if fault := name_fault(ingress):
        return None, (codes.INVALID_NAME.found(ingress.ref, "metadata", fault),)
    namespace = ingress.metadata.namespace
    if namespace in index.objects.terminating_namespaces:
        message = f"Namespace {namespace!r} is being deleted."
        return None, (codes.NAMESPACE_TERMINATING.found(ingress.ref, "metadata.namespace", message),)
    index.work["plan"] += 1
    planned = plan(ingress)
    return planned, planned.problems


def _frontend_of(planned: Plan) -> str:
    return "/".join(planned.name)


def _leave(index: Index, planned: Plan) -> None:
    frontend = index.frontends[_frontend_of(planned)]
    frontend.members.discard(planned.name)
    for host in planned.hosts:
        names = frontend.hosts[host]
        names.discard(planned.name)
        if not names:
            del frontend.hosts[host]
        index.dirty.units.add((frontend.name, host))
    index.dirty.frontends.add(frontend.name)


def _join(index: Index, planned: Plan) -> None:
    name = _frontend_of(planned)
    frontend = index.frontends.setdefault(name, Frontend(name))
    frontend.members.add(planned.name)
    for host in planned.hosts:
        frontend.hosts.setdefault(host, set()).add(planned.name)
        index.dirty.units.add((name, host))
    index.dirty.frontends.add(name)


def _make_virtual_hosts(index: Index) -> None:
    for unit in index.dirty.units:
        frontend, host = index.frontends[unit[0]], unit[1]
        before = frontend.built.pop(host, None)
        plans = [index.plans[name] for name in frontend.hosts.get(host, ())]
        made = None
        if plans:
            index.work["virtual host"] += 1
            made = frontend.built[host] = build(host, plans, index.objects.services.get)
        index.findings.replace(unit, made.problems if made else {})
        _move_clusters(index, unit, before.clusters if before else frozenset(), made.clusters if made else frozenset())
        _move_services(index, unit, before.services if before else frozenset(), made.services if made else frozenset())
        index.dirty.routes.add(frontend.name)


def _move_clusters(index: Index, unit: Unit, before: frozenset[ClusterKey], now: frozenset[ClusterKey]) -> None:
    for key in now - before:
        users = index.cluster_users.setdefault(key, set())
        if not users:
            index.clusters_of.setdefault(key.service, set()).add(key)
            index.dirty.clusters.add(key)
            index.dirty.endpoints.add(key)
        users.add(unit)
    for key in before - now:
        index.cluster_users[key].discard(unit)
        if not index.cluster_users[key]:
            index.dirty.clusters.add(key)
            index.dirty.endpoints.add(key)


def _move_services(index: Index, unit: Unit, before: frozenset[ObjectName], now: frozenset[ObjectName]) -> None:
    for service in now - before:
        index.service_users.setdefault(service, set()).add(unit)
    for service in before - now:
        users = index.service_users[service]
        users.discard(unit)
        if not users:
            del index.service_users[service]


def _make_routes(index: Index) -> None:
    for name in index.dirty.routes | index.dirty.frontends:
        frontend = index.frontends.get(name)
        for scheme in Scheme:
            route = route_name(name, scheme)
            if frontend is None or scheme not in frontend.schemes:
                index.withdraw((ROUTE, route))
            elif name in index.dirty.routes or (ROUTE, route) not in index.emitted:
                index.work["route configuration"] += 1
                index.emit(route_configuration(route, frontend.built))


def _make_listeners(index: Index) -> None:
    for name in index.dirty.frontends:
        frontend = index.frontends.get(name)
        for scheme in Scheme:
            _make_listener(index, frontend, route_name(name, scheme), scheme)
        if frontend is not None and not frontend.members:
            del index.frontends[name]


def _make_listener(index: Index, frontend: Frontend | None, base: str, scheme: Scheme) -> None:
    """Make one listener of a frontend, once it has a port; one at another port goes (DESIGN 3.5)."""
    port = None
    if frontend is not None and scheme in frontend.schemes:
        index.want(base, scheme.service_port)
        port = index.objects.claims.get(base)
    else:
        index.want(base, None)
    before = index.listening.pop(base, None)
    if before not in (None, port):
        index.withdraw((LISTENER, listener_name(base, before)))
    if frontend is not None and port is not None:
        index.work["listener"] += 1
        index.listening[base] = port
        index.emit(listener(base, port, tuple(sorted(map(ingress_ref, frontend.members)))))


def _make_clusters(index: Index) -> None:
    for key in index.dirty.clusters:
        if index.cluster_users.get(key):
            index.work["cluster"] += 1
            index.emit(cluster(key))
        else:
            index.withdraw((CLUSTER, key.name))


def _make_endpoints(index: Index) -> None:
    for key in index.dirty.endpoints:
        if not index.cluster_users.get(key):
            _forget_cluster(index, key)
            continue
        index.work["endpoints"] += 1
        slices = index.objects.slices.get(key.service, {}).values()
        made = assignment(key, index.objects.services.get(key.service), slices)
        index.findings.replace(key, made.problems)
        index.emit(made.resource)


def _forget_cluster(index: Index, key: ClusterKey) -> None:
    index.withdraw((ENDPOINT, key.name))
    index.findings.replace(key, {})
    if index.cluster_users.pop(key, None) is not None:
        keys = index.clusters_of[key.service]
        keys.discard(key)
        if not keys:
            del index.clusters_of[key.service]
