"""The Service of each Ingress, and the one endpoint that keeps kube-proxy from rejecting its traffic. Pure.

An Ingress owns a Service of type LoadBalancer without a selector (redirect 1): it gives the Ingress its addresses and
its NodePort. No Pod is behind it, as the node's Envoy takes its traffic; so that kube-proxy does not reject that before
Envoy sees it, the Service has one endpoint that does not exist (redirect 11).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from nodegate.model.changes import ObjectChange, Upsert
from nodegate.model.generated_service import (
    INGRESS_ANNOTATION,
    MANAGED_BY_LABEL,
    MANAGER,
    PORTS_ANNOTATION,
    SERVICE_PORTS,
    claimed_ports,
    is_ours,
    service_name,
)
from nodegate.model.objects import SERVICE_NAME_LABEL, EndpointSlice, Ingress, Object, Service
from nodegate.model.refs import Kind, Ref

DUMMY_ADDRESS, DUMMY_PORT = "192.192.192.192", 9999


@dataclass(frozen=True, slots=True)
class Wanted:
    """One object as it has to be; ``body`` is what nodegate says of it and nothing else."""

    ref: Ref
    body: Mapping[str, Any]


def wanted(ingress: Ingress, ports: Mapping[str, int]) -> tuple[Wanted, Wanted]:
    """Return the Service and the slice of an Ingress; ``ports`` are its listeners' own: scheme -> claimed port."""
    namespace, name = ingress.metadata.namespace, service_name(ingress.metadata.name)
    schemes = sorted(ports)
    common: dict[str, Any] = {
        "namespace": namespace,
        "labels": {MANAGED_BY_LABEL: MANAGER},
        "ownerReferences": [_owner(ingress)],
    }
    annotations = {
        INGRESS_ANNOTATION: ingress.metadata.name,
        PORTS_ANNOTATION: ",".join(f"{scheme}={ports[scheme]}" for scheme in schemes),
    }
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, **common, "annotations": annotations},
        "spec": {
            "type": "LoadBalancer",
            "ports": [{"name": scheme, "port": SERVICE_PORTS[scheme], "protocol": "TCP"} for scheme in schemes],
        },
    }
    labels = {**common["labels"], SERVICE_NAME_LABEL: name, "endpointslice.kubernetes.io/managed-by": "nodegate.dev"}
    endpoint_slice = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": name, **common, "labels": labels},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [DUMMY_ADDRESS], "conditions": {"ready": True}}],
        "ports": [{"name": scheme, "port": DUMMY_PORT, "protocol": "TCP"} for scheme in schemes],
    }
    return (
        Wanted(Ref(Kind.SERVICE, namespace, name), service),
        Wanted(Ref(Kind.ENDPOINT_SLICE, namespace, name), endpoint_slice),
    )


def fits(found: Object, one: Wanted) -> bool:
    """Whether an object holds everything that is wanted of it; what others wrote besides does not matter."""
    metadata = one.body["metadata"]
    owners = {owner.uid for owner in found.metadata.owner_references}
    return (
        metadata["labels"].items() <= found.metadata.labels.items()
        and metadata.get("annotations", {}).items() <= found.metadata.annotations.items()
        and {owner["uid"] for owner in metadata["ownerReferences"]} <= owners
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


def claims_in(changes: Iterable[ObjectChange]) -> Iterator[tuple[str, int]]:
    """Yield the claims (listener, port) that Services of ours carry, in the order of the Services' age."""
    found = [change.object for change in changes if isinstance(change, Upsert)]
    services = [one for one in found if isinstance(one, Service) and is_ours(one)]
    for service in sorted(services, key=_age):
        ingress = service.metadata.annotations.get(INGRESS_ANNOTATION, "")
        if service_name(ingress) == service.metadata.name:
            for scheme, port in sorted(claimed_ports(service).items()):
                yield f"{service.metadata.namespace}/{ingress}/{scheme}", port


def _age(service: Service) -> tuple[str, str, str]:
    created = service.metadata.creation_timestamp
    return (created.isoformat() if created else "", service.metadata.namespace, service.metadata.name)


def ports_by_ingress(ports: Mapping[str, int]) -> dict[tuple[str, str], dict[str, int]]:
    """Return the ports of listeners (``namespace/ingress/scheme`` -> port) by Ingress; shared ones are of none."""
    found: dict[tuple[str, str], dict[str, int]] = {}
    for listener, port in ports.items():
        namespace, _, rest = listener.partition("/")
        name, slash, scheme = rest.rpartition("/")
        if slash:
            found.setdefault((namespace, name), {})[scheme] = port
    return found


def _owner(ingress: Ingress) -> dict[str, Any]:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "name": ingress.metadata.name,
        "uid": ingress.metadata.uid,
        "controller": True,
    }


def leftovers(objects: Mapping[Ref, Object], kept: Iterable[Ref]) -> list[Ref]:
    """Return our own objects that nothing asks for any more while their Ingress still exists: nobody else ends them."""
    keep = set(kept)
    return sorted(ref for ref, found in objects.items() if ref not in keep and is_ours(found))
