"""Which documents are objects nodegate reads, by apiVersion and kind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nodegate.model.objects import (
    EndpointSlice,
    Ingress,
    IngressClass,
    Namespace,
    Node,
    Object,
    Secret,
    Service,
)
from nodegate.model.refs import Kind
from nodegate.source import codes
from nodegate.source.finding import Finding


@dataclass(frozen=True, slots=True)
class Served:
    """A kind nodegate reads, and the one apiVersion Kubernetes serves it at."""

    kind: Kind
    api_version: str
    type: type[Object]


SERVED: Mapping[str, Served] = {
    served.kind.value: served
    for served in (
        Served(Kind.INGRESS, "networking.k8s.io/v1", Ingress),
        Served(Kind.INGRESS_CLASS, "networking.k8s.io/v1", IngressClass),
        Served(Kind.SERVICE, "v1", Service),
        Served(Kind.ENDPOINT_SLICE, "discovery.k8s.io/v1", EndpointSlice),
        Served(Kind.SECRET, "v1", Secret),
        Served(Kind.NAMESPACE, "v1", Namespace),
        Served(Kind.NODE, "v1", Node),
    )
}
LISTS: Mapping[str, Served] = {f"{name}List": served for name, served in SERVED.items()}

_OWN_GROUPS_SUFFIX = ".k8s.io"


def identify(document: Mapping[str, Any]) -> Served | Finding | None:
    """Return what kind of object a document is, what is wrong with that, or None for one nodegate does not read.

    The same kind in a group of somebody else (``serving.knative.dev/v1`` Service) is not ours; in a group or version
    of Kubernetes that does not serve it, it is an object that was meant for us and does not arrive.
    """
    api_version, kind = document.get("apiVersion"), document.get("kind")
    for name, value in (("apiVersion", api_version), ("kind", kind)):
        if not isinstance(value, str) or not value:
            return Finding(codes.NOT_AN_OBJECT, (name,), f"The document has no {name}, so it is not an object.")
    return _served(str(api_version), str(kind))


def _served(api_version: str, kind: str) -> Served | Finding | None:
    served = SERVED.get(kind) or LISTS.get(kind)
    if served is None or served.api_version == api_version:
        return served
    group, slash, _ = api_version.rpartition("/")
    if slash and "." in group and not group.endswith(_OWN_GROUPS_SUFFIX):
        return None
    message = f"apiVersion {api_version} does not serve {kind}; {served.api_version} does."
    return Finding(codes.UNSUPPORTED_VERSION, ("apiVersion",), message, _remedy(served))


def _remedy(served: Served) -> str:
    if served.kind is Kind.INGRESS:
        return (
            "Write it for networking.k8s.io/v1: pathType is required there, and serviceName and servicePort "
            "became service.name and service.port.number or service.port.name."
        )
    return f"Write apiVersion: {served.api_version}."
