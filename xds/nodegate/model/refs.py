"""How an object is named: kind, namespace and name."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Kind(StrEnum):
    """The kinds of object nodegate reads. The value is the Kubernetes ``kind``."""

    INGRESS = "Ingress"
    INGRESS_CLASS = "IngressClass"
    SERVICE = "Service"
    ENDPOINT_SLICE = "EndpointSlice"
    SECRET = "Secret"  # noqa: S105  # the kind, not a password
    NAMESPACE = "Namespace"
    NODE = "Node"
    FILE = "File"  # a manifest file itself: only ever the object of a Problem
    CLUSTER = "Cluster"  # the Kubernetes API itself: only ever the object of a Problem

    @property
    def namespaced(self) -> bool:
        """Whether objects of this kind live in a namespace."""
        return self not in _CLUSTER_SCOPED


_CLUSTER_SCOPED = frozenset({Kind.INGRESS_CLASS, Kind.NAMESPACE, Kind.NODE, Kind.FILE, Kind.CLUSTER})


class Ref(NamedTuple):
    """The identity of one object. ``namespace`` is empty for cluster-scoped kinds. Orders and hashes as a tuple."""

    kind: Kind
    namespace: str
    name: str

    def __str__(self) -> str:
        """Return ``Kind namespace/name``, as people and logs name an object."""
        where = f"{self.namespace}/{self.name}" if self.namespace else self.name
        return f"{self.kind.value} {where}"
