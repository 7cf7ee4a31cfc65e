"""The objects of the benchmark, and the calls to the API that make, change and remove them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bench.kubernetes.namespace import BACKENDS

Call = dict[str, Any]
"""One request, as ``bench/traffic`` reads it."""

CLASS = "nodegate"
BACKEND_PORT = 9000
_COLLECTIONS = {
    "Namespace": "/api/v1/namespaces",
    "Service": "/api/v1/namespaces/{namespace}/services",
    "EndpointSlice": "/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices",
    "Ingress": "/apis/networking.k8s.io/v1/namespaces/{namespace}/ingresses",
}
_MERGE = "application/merge-patch+json"


def backend(number: int) -> str:
    """Return the address of a backend; there are 65,000."""
    return f"{BACKENDS}.{number // 250}.{1 + number % 250}"


def host(name: str) -> str:
    """Return the host of the Ingress with a name."""
    return f"{name}.test"


def create_namespace(name: str) -> Call:
    """Make a namespace."""
    return _call("POST", "Namespace", "", body={"metadata": {"name": name}})


def create_service(namespace: str, name: str, addresses: Sequence[str]) -> list[Call]:
    """Make a Service without a selector, and its EndpointSlice."""
    ports = [{"name": "http", "port": 80, "targetPort": BACKEND_PORT}]
    service = {"metadata": {"name": name}, "spec": {"ports": ports}}
    slices = {
        "metadata": {"name": name, "labels": {"kubernetes.io/service-name": name}},
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": BACKEND_PORT, "protocol": "TCP"}],
        "endpoints": _endpoints(addresses),
    }
    return [_call("POST", "Service", namespace, body=service), _call("POST", "EndpointSlice", namespace, body=slices)]


def create_ingress(namespace: str, name: str, service: str) -> Call:
    """Make an Ingress with a host of its own."""
    body = {"metadata": {"name": name}, "spec": {"ingressClassName": CLASS, "rules": _rules(name, service)}}
    return _call("POST", "Ingress", namespace, body=body)


def change_endpoints(namespace: str, name: str, addresses: Sequence[str]) -> Call:
    """Give an EndpointSlice other endpoints."""
    return _call("PATCH", "EndpointSlice", namespace, name, body={"endpoints": _endpoints(addresses)})


def change_backend(namespace: str, ingress: str, service: str) -> Call:
    """Let an Ingress name another Service."""
    return _call("PATCH", "Ingress", namespace, ingress, body={"spec": {"rules": _rules(ingress, service)}})


def delete_service(namespace: str, name: str) -> list[Call]:
    """Remove a Service and its EndpointSlice."""
    return [_call("DELETE", "Service", namespace, name), _call("DELETE", "EndpointSlice", namespace, name)]


def delete_ingress(namespace: str, name: str) -> Call:
    """Remove an Ingress."""
    return _call("DELETE", "Ingress", namespace, name)


def delete_everything(namespace: str) -> list[Call]:
    """Remove all Ingresses, Services and EndpointSlices of a namespace."""
    return [_call("DELETE", kind, namespace) for kind in ("Ingress", "Service", "EndpointSlice")]


def _call(method: str, kind: str, namespace: str, name: str = "", body: Mapping[str, Any] | None = None) -> Call:
    path = _COLLECTIONS[kind].format(namespace=namespace) + (f"/{name}" if name else "")
    return {
        "method": method,
        "path": path,
        "content_type": _MERGE if method == "PATCH" else "application/json",
        "body": body,
    }


def _endpoints(addresses: Sequence[str]) -> list[dict[str, Any]]:
    return [{"addresses": [address], "conditions": {"ready": True}} for address in addresses]


def _rules(ingress: str, service: str) -> list[dict[str, Any]]:
    to = {"service": {"name": service, "port": {"number": 80}}}
    return [{"host": host(ingress), "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": to}]}}]
