"""Which Ingresses are served, by which frontend, and which hosts and certificates that touches."""

from __future__ import annotations

from nodegate.model.objects import Ingress
from nodegate.model.problem import Problem
from nodegate.translate import codes
from nodegate.translate.frontends import Frontend, frontend_name
from nodegate.translate.hosts import ANY_HOST, is_wildcard
from nodegate.translate.index import Index
from nodegate.translate.ingress_class import is_ours
from nodegate.translate.names import ingress_ref
from nodegate.translate.plan import Plan, name_fault, plan


def replan(index: Index) -> None:
    """Make the plans of changed Ingresses, and mark the hosts they had and have."""
    for name in index.dirty.ingresses:
        ingress = index.objects.ingresses.get(name)
        planned, problems = _plan(index, ingress) if ingress else (None, ())
        index.findings.replace(name, {ingress_ref(name): problems} if problems else {})
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


def _join(index: Index, planned: Plan) -> None:
    name = frontend_name(planned.name, planned.options, index.settings)
    frontend = index.frontends.get(name)
    if frontend is None:
        frontend = index.frontends[name] = Frontend(name)
    frontend.members.add(planned.name)
    for host in planned.hosts:
        frontend.add_host(host, planned.name)
    for entry in planned.tls:
        for host in entry.hosts:
            frontend.add_declared(host, planned.name)
    _touch(index, frontend, planned)


def _leave(index: Index, planned: Plan) -> None:
    frontend = index.frontends[frontend_name(planned.name, planned.options, index.settings)]
    frontend.members.discard(planned.name)
    for host in planned.hosts:
        frontend.drop_host(host, planned.name)
    for entry in planned.tls:
        for host in entry.hosts:
            frontend.drop_declared(host, planned.name)
    _touch(index, frontend, planned)


def _touch(index: Index, frontend: Frontend, planned: Plan) -> None:
    """Mark everything of a frontend that depends on what an Ingress says."""
    if planned.tls or not frontend.is_shared or len(frontend.members) <= 1:  # else no listener depends on it
        index.dirty.frontends.add(frontend.name)
    index.dirty.units.update((frontend.name, host) for host in planned.hosts)
    if ANY_HOST in planned.hosts:  # requests for wildcards fall through to the routes of every host
        index.dirty.units.update((frontend.name, host) for host in frontend.hosts if is_wildcard(host))
    if index.settings.default_backend is not None:
        index.dirty.units.add((frontend.name, ANY_HOST))
    index.dirty.certificates.update((frontend.name, host) for entry in planned.tls for host in entry.hosts)
