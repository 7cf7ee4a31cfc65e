"""Kubernetes objects as plain values, and a folder of them that is edited while it is watched."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

Manifest = dict[str, Any]
CONTROLLER = "nodegate.dev/ingress-controller"


def ingress_class(name: str = "nodegate", controller: str = CONTROLLER) -> Manifest:
    """Return an IngressClass of ours."""
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "IngressClass",
        "metadata": {"name": name},
        "spec": {"controller": controller},
    }


def ingress(
    namespace: str, name: str, paths: Mapping[str, str], *, host: str = "", class_name: str = "nodegate"
) -> Manifest:
    """Return an Ingress with one rule: path -> "service:port", each path a Prefix."""
    entries = [
        {"path": path, "pathType": "Prefix", "backend": {"service": _service_backend(backend)}}
        for path, backend in paths.items()
    ]
    rule: dict[str, Any] = {"http": {"paths": entries}}
    if host:
        rule["host"] = host
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"ingressClassName": class_name, "rules": [rule]},
    }


def service(namespace: str, name: str, port: int = 80) -> Manifest:
    """Return a Service with one port named ``http``."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"ports": [{"name": "http", "port": port}]},
    }


def endpoint_slice(namespace: str, service_name: str, addresses: Iterable[tuple[str, int]], name: str = "") -> Manifest:
    """Return the EndpointSlice of a Service; all addresses have to have the same port."""
    pairs = list(addresses)
    ports = {port for _, port in pairs}
    assert len(ports) <= 1, "the endpoints of one slice share their port number"
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": name or f"{service_name}-1",
            "namespace": namespace,
            "labels": {"kubernetes.io/service-name": service_name},
        },
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": port} for port in ports],
        "endpoints": [{"addresses": [host]} for host, _ in pairs],
    }


def _service_backend(backend: str) -> Manifest:
    name, _, port = backend.partition(":")
    return {"name": name, "port": {"number": int(port or 80)}}


class Folder:
    """A folder of manifests, edited as editors do: a new file is put in the old one's place."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(parents=True, exist_ok=True)

    def put(self, *objects: Manifest) -> None:
        """Write each object to a file of its own, named for its kind, namespace and name."""
        for item in objects:
            self.write(self._file_of(item), json.dumps(item, indent=1))

    def drop(self, *objects: Manifest) -> None:
        """Delete the files of these objects."""
        for item in objects:
            (self.path / self._file_of(item)).unlink()

    def write(self, file: str, text: str) -> None:
        """Put this text where the file's old text was, at once."""
        new = self.path / f".{file}.new"
        new.write_text(text)
        new.replace(self.path / file)

    @staticmethod
    def _file_of(item: Manifest) -> str:
        metadata = item["metadata"]
        return f"{item['kind']}.{metadata.get('namespace', '')}.{metadata['name']}.yaml".lower()
