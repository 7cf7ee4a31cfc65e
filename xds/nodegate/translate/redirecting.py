"""Makes redirects again where a Service or a listener changed, and settles who gets a place that two ask for."""

from __future__ import annotations

from nodegate.model.generated_service import INGRESS_ANNOTATION, service_name
from nodegate.model.objects import Service
from nodegate.model.problem import Problem
from nodegate.model.refs import Ref
from nodegate.snapshot.type_urls import REDIRECT
from nodegate.translate import codes
from nodegate.translate.frontends import SHARED
from nodegate.translate.index import Index
from nodegate.translate.names import ObjectName, Scheme, ingress_ref, listener_name, route_name, service_ref
from nodegate.translate.redirects import Asked, Place, RedirectKey, asked, resource, written_ranges
from nodegate.translate.settings import Expose


def mark_redirects(index: Index, frontend: str) -> None:
    """Mark the Service by which clients reach a frontend's listeners."""
    index.dirty.redirects.add(_service_of(index, frontend))


def make_redirects(index: Index) -> None:
    """Make the redirects of the marked Services, and of those that ask for the same places."""
    touched: set[RedirectKey] = set()
    for service in index.dirty.redirects:
        _note_open_nodes(index, service)
        for scheme in Scheme:
            touched |= _ask(index, RedirectKey(service, scheme.service_port), scheme)
    for key in touched:
        _settle(index, key)


def _note_open_nodes(index: Index, name: ObjectName) -> None:
    """Say which source ranges nothing enforces: those of the shared listeners' Service, where nodes have its ports."""
    if index.settings.expose is not Expose.HOST or name != index.settings.publish_service:
        return
    upstream = index.objects.services.get(name)
    ranges = written_ranges(upstream.service) if upstream else ()
    problems = tuple(
        codes.SOURCE_RANGES_NOT_ENFORCED.found(
            service_ref(name),
            field,
            f"Clients outside {text} are let in as well: they connect to the nodes' own ports.",
        )
        for field, text in ranges
    )
    index.findings.replace(("open nodes", name), {service_ref(name): problems} if problems else {})


def _ask(index: Index, key: RedirectKey, scheme: Scheme) -> set[RedirectKey]:
    """Read again what a port of a Service asks for; return the redirects that this may change."""
    before, now = index.asked.pop(key, None), _asked(index, key, scheme)
    if now is not None:
        index.asked[key] = now
    if before == now:
        return set()
    places = [frozenset(one.frontends) if one else _NOWHERE for one in (before, now)]
    index.claimants.replace(key, *places)
    return {key}.union(*(index.claimants.of(place) for place in places[0] | places[1]))


def _asked(index: Index, key: RedirectKey, scheme: Scheme) -> Asked | None:
    upstream = index.objects.services.get(key.service)
    frontend = _frontend_of(index, upstream.service) if upstream else None
    if upstream is None or frontend is None:
        return None
    base = route_name(frontend, scheme)
    port = index.listening.get(base)
    if port is None or (frontend == SHARED and index.settings.expose is Expose.HOST):
        return None
    index.work["redirect"] += 1
    listener = (listener_name(base, port), port)
    return asked(upstream.service, key, listener, _causes(key.service, frontend), index.settings.families)


def _causes(service: ObjectName, frontend: str) -> tuple[Ref, ...]:
    ref = service_ref(service)
    namespace, slash, ingress = frontend.partition("/")
    return (ref, ingress_ref((namespace, ingress))) if slash else (ref,)


def _frontend_of(index: Index, service: Service) -> str | None:
    """Return the frontend whose clients come by this Service: it is named as generated ones are, and says whose."""
    namespace, name = service.metadata.namespace, service.metadata.name
    if (namespace, name) == index.settings.publish_service:
        return SHARED
    ingress = service.metadata.annotations.get(INGRESS_ANNOTATION)
    return f"{namespace}/{ingress}" if ingress and service_name(ingress) == name else None


def _service_of(index: Index, frontend: str) -> ObjectName:
    if frontend == SHARED:
        return index.settings.publish_service
    namespace, _, ingress = frontend.partition("/")
    return namespace, service_name(ingress)


def _settle(index: Index, key: RedirectKey) -> None:
    """Emit a redirect of the places that it gets; the others belong to an older Service, and are a problem."""
    wanted = index.asked.get(key)
    if wanted is None:
        index.withdraw((REDIRECT, key.name))
        index.findings.replace(("redirect", key), {})
        return
    owners = {place: _owner(index, place) for place in wanted.frontends}
    mine = [place for place, owner in owners.items() if owner is wanted]
    if mine:
        index.emit(resource(wanted, mine))
    else:
        index.withdraw((REDIRECT, key.name))
    lost = [_lost(wanted, place, owner) for place, owner in sorted(owners.items()) if owner is not wanted]
    problems = (*wanted.problems, *lost)
    index.findings.replace(("redirect", key), {service_ref(key.service): problems} if problems else {})


def _owner(index: Index, place: Place) -> Asked:
    return min((index.asked[key] for key in index.claimants.of(place)), key=lambda wanted: wanted.age)


def _lost(wanted: Asked, place: Place, owner: Asked) -> Problem:
    message = f"{str(place).capitalize()} belongs to the older Service {'/'.join(owner.key.service)}."
    return codes.FRONTEND_CONFLICT.found(service_ref(wanted.key.service), wanted.frontends[place].field, message)


_NOWHERE: frozenset[Place] = frozenset()
