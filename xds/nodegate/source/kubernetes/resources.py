"""Which resources of the API are watched, and where they are."""

from __future__ import annotations

from dataclasses import dataclass

from nodegate.model.objects import EndpointSlice, Ingress, IngressClass, Namespace, Node, Object, Secret, Service
from nodegate.model.refs import Kind
from nodegate.source.decode import TLS_SECRET


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource of the API. ``group`` is empty for the core group; the version is v1 for all of them.

    ``field_selector`` keeps out what nodegate has no use for, so that it never sees it.
    """

    kind: Kind
    group: str
    plural: str
    type: type[Object]
    field_selector: str = ""

    def path(self, namespace: str = "") -> str:
        """Return the collection's path: of the whole cluster, or of one namespace."""
        base = f"/apis/{self.group}/v1" if self.group else "/api/v1"
        within = f"/namespaces/{namespace}" if namespace and self.kind.namespaced else ""
        return f"{base}{within}/{self.plural}"


WATCHED = (
    Resource(Kind.INGRESS_CLASS, "networking.k8s.io", "ingressclasses", IngressClass),
    Resource(Kind.INGRESS, "networking.k8s.io", "ingresses", Ingress),
    Resource(Kind.SERVICE, "", "services", Service),
    Resource(Kind.ENDPOINT_SLICE, "discovery.k8s.io", "endpointslices", EndpointSlice),
    Resource(Kind.SECRET, "", "secrets", Secret, f"type={TLS_SECRET}"),
    Resource(Kind.NAMESPACE, "", "namespaces", Namespace),
    Resource(Kind.NODE, "", "nodes", Node),
)
