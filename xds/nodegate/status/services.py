"""The Services by which clients reach listeners, and the endpoint that keeps kube-proxy from rejecting them. Pure.

An Ingress owns a Service of type LoadBalancer without a selector (redirect 1): it gives the Ingress its addresses and
its NodePort. The shared listeners have one together. No Pod is behind it, as the node's Envoy takes its traffic; so
that kube-proxy does not reject that before Envoy sees it, the Service has one endpoint that does not exist
(redirect 11), and where it has a cluster IP of IPv6 one in that family too: kube-proxy rejects by family.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from nodegate.model.generated_service import (
    INGRESS_ANNOTATION,
    MANAGED_BY_LABEL,
    MANAGER,
    PORTS_ANNOTATION,
    REFUSED_ANNOTATION,
    SERVICE_PORTS,
    ports_text,
    service_name,
)
from nodegate.model.objects import SERVICE_NAME_LABEL, EndpointSlice, Ingress, Object, Service
from nodegate.model.refs import Kind, Ref

DUMMY_ADDRESS, DUMMY_PORT = "192.192.192.192", 9999
DUMMY_ADDRESS_IPV6 = "100::1"
"""Of the prefix that is for discarding (RFC 6666): no host has it, and the API server takes it, unlike ::1 or fe80::1.

The one for IPv4 is Cilium's.
"""
_IPV6_SLICE = ".ipv6"  # no Service has a dot in its name, so no slice of another one is called that
_OPTIONAL = (REFUSED_ANNOTATION,)


@dataclass(frozen=True, slots=True)
class Wanted:
    """One object as it has to be; ``body`` is what nodegate says of it and nothing else."""

    ref: Ref
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Ports:
    """What a Service says of its listeners: scheme -> claimed port, and the ports they must not have."""

    claimed: Mapping[str, int]
    refused: Iterable[tuple[str, int]] = field(default=())


def of_ingress(ingress: Ingress, ports: Ports) -> tuple[Wanted, Wanted]:
    """Return the Service and the slice of an Ingress."""
    metadata = {
        "namespace": ingress.metadata.namespace,
        "name": service_name(ingress.metadata.name),
        "labels": {MANAGED_BY_LABEL: MANAGER},
        "ownerReferences": [_owner(ingress)],
    }
    return _pair(metadata, {INGRESS_ANNOTATION: ingress.metadata.name}, ports)


def of_shared_listeners(publish: tuple[str, str], ports: Ports) -> tuple[Wanted, Wanted]:
    """Return the Service that is published for the shared listeners, and its slice."""
    metadata = {"namespace": publish[0], "name": publish[1], "labels": {MANAGED_BY_LABEL: MANAGER}}
    return _pair(metadata, {}, ports)


def _pair(metadata: Mapping[str, Any], annotations: Mapping[str, str], ports: Ports) -> tuple[Wanted, Wanted]:
    schemes = sorted(ports.claimed)
    said = {**annotations, PORTS_ANNOTATION: ports_text(ports.claimed.items())}
    if refused := ports_text(ports.refused):
        said[REFUSED_ANNOTATION] = refused
    namespace, name = metadata["namespace"], metadata["name"]
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {**metadata, "annotations": said},
        "spec": {
            "type": "LoadBalancer",
            "ports": [{"name": scheme, "port": SERVICE_PORTS[scheme], "protocol": "TCP"} for scheme in schemes],
        },
    }
    labels = {SERVICE_NAME_LABEL: name, "endpointslice.kubernetes.io/managed-by": "nodegate.dev"}
    endpoint_slice = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {**metadata, "labels": {**metadata["labels"], **labels}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [DUMMY_ADDRESS], "conditions": {"ready": True}}],
        "ports": [{"name": scheme, "port": DUMMY_PORT, "protocol": "TCP"} for scheme in schemes],
    }
    return (
        Wanted(Ref(Kind.SERVICE, namespace, name), service),
        Wanted(Ref(Kind.ENDPOINT_SLICE, namespace, name), endpoint_slice),
    )


def ipv6_slice(first: Wanted, service: Object | None) -> tuple[Wanted, ...]:
    """Return the slice for IPv6, made after the ``first`` one, if the Service that is there has an address for it.

    Which families it has is Kubernetes' to say, so it is asked for only once the Service is there.
    """
    if not isinstance(service, Service) or not any(":" in address for address in service.spec.cluster_ips):
        return ()
    ref = Ref(Kind.ENDPOINT_SLICE, first.ref.namespace, first.ref.name + _IPV6_SLICE)
    body = {
        **first.body,
        "metadata": {**first.body["metadata"], "name": ref.name},
        "addressType": "IPv6",
        "endpoints": [{**endpoint, "addresses": [DUMMY_ADDRESS_IPV6]} for endpoint in first.body["endpoints"]],
    }
    return (Wanted(ref, body),)


def service_of(written: Ref) -> tuple[str, str]:
    """Return namespace and name of the Service that one of these objects is, or belongs to."""
    return written.namespace, written.name.removesuffix(_IPV6_SLICE)


def refs_of(service: tuple[str, str]) -> tuple[Ref, ...]:
    """Return everything that may have been written for a Service: itself and its slices."""
    namespace, name = service
    slices = (Ref(Kind.ENDPOINT_SLICE, namespace, one) for one in (name, name + _IPV6_SLICE))
    return Ref(Kind.SERVICE, namespace, name), *slices


def fits(found: Object, one: Wanted) -> bool:
    """Whether an object holds everything that is wanted of it; what others wrote besides does not matter."""
    metadata, annotations = one.body["metadata"], found.metadata.annotations
    wanted_annotations = metadata.get("annotations", {})
    owners = {owner.uid for owner in found.metadata.owner_references}
    return (
        metadata["labels"].items() <= found.metadata.labels.items()
        and wanted_annotations.items() <= annotations.items()
        and not any(name in annotations and name not in wanted_annotations for name in _OPTIONAL)
        and {owner["uid"] for owner in metadata.get("ownerReferences", ())} <= owners
        and _content(found) == _wanted_content(one.body)
    )


def _content(found: Object) -> Any:
    match found:
        case Service():
            return found.spec.type, sorted((port.name, port.port) for port in found.spec.ports)
        case EndpointSlice():
            addresses = [list(endpoint.addresses) for endpoint in found.endpoints]
            return addresses, sorted((port.name, port.port) for port in found.ports)
    return None


def _wanted_content(body: Mapping[str, Any]) -> Any:
    spec = body.get("spec", body)
    ports = sorted((port["name"], port["port"]) for port in spec["ports"])
    if "type" in spec:
        return spec["type"], ports
    return [endpoint["addresses"] for endpoint in spec["endpoints"]], ports


def _owner(ingress: Ingress) -> dict[str, Any]:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "name": ingress.metadata.name,
        "uid": ingress.metadata.uid,
        "controller": True,
    }
