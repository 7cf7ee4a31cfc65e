"""Fields the Kubernetes API has and nodegate does not read, so that a misspelt field can be told from those.

Taken from the type comments of ``meta/v1``, ``core/v1``, ``networking.k8s.io/v1`` and ``discovery.k8s.io/v1``. Below a
field named here nothing is checked.
"""

from __future__ import annotations

from collections.abc import Mapping

from nodegate.model import objects

_TYPE_META = frozenset({"apiVersion", "kind"})

UNREAD: Mapping[type, frozenset[str]] = {
    objects.Metadata: frozenset(
        {"generateName", "selfLink", "managedFields", "finalizers", "deletionGracePeriodSeconds", "clusterName"}
    ),
    objects.OwnerReference: frozenset({"apiVersion", "blockOwnerDeletion"}),
    objects.Ingress: _TYPE_META,
    objects.IngressClass: _TYPE_META,
    objects.IngressClassSpec: frozenset({"parameters"}),
    objects.Service: _TYPE_META,
    objects.ServiceSpec: frozenset(
        {
            "allocateLoadBalancerNodePorts",
            "healthCheckNodePort",
            "ipFamilyPolicy",
            "loadBalancerClass",
            "loadBalancerIP",
            "sessionAffinityConfig",
            "topologyKeys",
        }
    ),
    objects.ObjectStatus: frozenset({"conditions"}),
    objects.LoadBalancerIngress: frozenset({"ports"}),
    objects.EndpointSlice: _TYPE_META,
    objects.Endpoint: frozenset({"deprecatedTopology", "hints", "targetRef"}),
    objects.Secret: _TYPE_META | {"immutable", "stringData"},
    objects.Namespace: _TYPE_META | {"spec"},
    objects.NamespaceStatus: frozenset({"conditions"}),
    objects.Node: _TYPE_META | {"spec"},
    objects.NodeStatus: frozenset(
        {
            "allocatable",
            "capacity",
            "conditions",
            "config",
            "daemonEndpoints",
            "declaredFeatures",
            "features",
            "images",
            "nodeInfo",
            "phase",
            "runtimeHandlers",
            "volumesAttached",
            "volumesInUse",
        }
    ),
}
