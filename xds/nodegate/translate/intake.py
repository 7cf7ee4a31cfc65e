"""How each change enters the index: it is filed, and what depends on it is marked to be made again."""

from __future__ import annotations

from nodegate.model.changes import Change, Claimed, Delete, Quarantined, Upsert
from nodegate.model.objects import EndpointSlice, Ingress, IngressClass, Namespace, Object, Secret, Service
from nodegate.model.refs import Kind, Ref
from nodegate.translate.index import Index
from nodegate.translate.names import ObjectName
from nodegate.translate.stored_secret import StoredSecret
from nodegate.translate.upstreams import upstream


def take(index: Index, change: Change) -> None:
    """File one change and mark what it touches."""
    match change:
        case Claimed(listener, port):
            _claim(index, listener, port)
        case Upsert(object=content):
            _upsert(index, content)
        case Quarantined(accepted=content) if content is not None:
            _upsert(index, content)
        case Delete(ref) | Quarantined(ref=ref):
            _delete(index, ref)


def _claim(index: Index, listener: str, port: int | None) -> None:
    if port is None:
        index.objects.claims.pop(listener, None)
    else:
        index.objects.claims[listener] = port
    index.dirty.frontends.add(listener.rpartition("/")[0])


def _upsert(index: Index, content: Object) -> None:
    match content:
        case Ingress():
            _put_ingress(index, content)
        case IngressClass():
            _put_class(index, content.metadata.name, content)
        case Service():
            _put_service(index, _name(content.ref), content)
        case EndpointSlice():
            _put_slice(index, _name(content.ref), content)
        case Secret():
            _put_secret(index, _name(content.ref), content)
        case Namespace():
            terminating = content.status.phase == "Terminating" or content.metadata.deletion_timestamp is not None
            _put_namespace(index, content.metadata.name, terminating=terminating)


def _delete(index: Index, ref: Ref) -> None:
    match ref.kind:
        case Kind.INGRESS:
            _drop_ingress(index, _name(ref))
        case Kind.INGRESS_CLASS:
            _put_class(index, ref.name, None)
        case Kind.SERVICE:
            _put_service(index, _name(ref), None)
        case Kind.ENDPOINT_SLICE:
            _put_slice(index, _name(ref), None)
        case Kind.SECRET:
            _put_secret(index, _name(ref), None)
        case Kind.NAMESPACE:
            _put_namespace(index, ref.name, terminating=False)


def _name(ref: Ref) -> ObjectName:
    return (ref.namespace, ref.name)


def _put_ingress(index: Index, ingress: Ingress) -> None:
    name = _name(ingress.ref)
    index.objects.ingresses[name] = ingress
    index.objects.ingresses_in.setdefault(name[0], set()).add(name)
    index.dirty.ingresses.add(name)


def _drop_ingress(index: Index, name: ObjectName) -> None:
    if index.objects.ingresses.pop(name, None) is None:
        return
    neighbours = index.objects.ingresses_in[name[0]]
    neighbours.discard(name)
    if not neighbours:
        del index.objects.ingresses_in[name[0]]
    index.dirty.ingresses.add(name)


def _put_class(index: Index, name: str, ingress_class: IngressClass | None) -> None:
    """File a class: the one change that concerns every Ingress, as the class of each depends on all classes."""
    classes = index.objects.classes
    if ingress_class is None:
        classes.pop(name, None)
    else:
        classes[name] = ingress_class
    index.dirty.ingresses.update(index.objects.ingresses)


def _put_namespace(index: Index, name: str, *, terminating: bool) -> None:
    known = index.objects.terminating_namespaces
    if terminating == (name in known):
        return
    (known.add if terminating else known.discard)(name)
    index.dirty.ingresses.update(index.objects.ingresses_in.get(name, ()))


def _put_service(index: Index, name: ObjectName, service: Service | None) -> None:
    """File a Service. Routes depend on it only by what they ask it; clusters and endpoints on all of it."""
    services = index.objects.services
    before, now = services.pop(name, None), upstream(service) if service else None
    if now is not None:
        services[name] = now
    if before is None or now is None or before.routed_by != now.routed_by:
        index.dirty.units.update(index.service_users.of(name))
    index.dirty.redirects.add(name)
    clusters = index.clusters_of.of(name)
    index.dirty.clusters.update(clusters)
    index.dirty.endpoints.update(clusters)


def _put_secret(index: Index, name: ObjectName, secret: Secret | None) -> None:
    """File a Secret. Its content goes out by SDS; hosts depend on it only by whether it can be served."""
    secrets = index.objects.secrets
    before = secrets.pop(name, None)
    if secret is not None:
        secrets[name] = StoredSecret(secret, before)
    index.dirty.secrets.add(name)
    index.dirty.certificates.update(index.certificate_users.of(name))
    clusters = index.authority_users.of(name)
    index.dirty.clusters.update(clusters)
    index.dirty.endpoints.update(clusters)


def _put_slice(index: Index, name: ObjectName, endpoint_slice: EndpointSlice | None) -> None:
    """File an EndpointSlice. It is the input of its Service's ClusterLoadAssignments and of nothing else."""
    objects = index.objects
    before = objects.service_of_slice.pop(name, None)
    if before is not None:
        slices = tuple(other for other in objects.slices.pop(before) if other.metadata.name != name[1])
        if slices:
            objects.slices[before] = slices
        index.dirty.endpoints.update(index.clusters_of.of(before))
    if endpoint_slice is None or not endpoint_slice.service_name:
        return
    service = (name[0], endpoint_slice.service_name)
    objects.service_of_slice[name] = service
    objects.slices[service] = (*objects.slices.get(service, ()), endpoint_slice)
    index.dirty.endpoints.update(index.clusters_of.of(service))
