"""Manifests of what tests apply."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from typing import Any

Manifest = dict[str, Any]


def _object(api_version: str, kind: str, namespace: str, name: str, **rest: Any) -> Manifest:
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **rest}


def ingress_class(name: str) -> Manifest:
    """Return an IngressClass of ours."""
    spec = {"controller": "nodegate.dev/ingress-controller"}
    return _object("networking.k8s.io/v1", "IngressClass", "", name, spec=spec)


def service(namespace: str, name: str, port: int = 80, target: int | None = None) -> Manifest:
    """Return a Service that selects the Pods with its name as their app."""
    ports = [{"port": port, "targetPort": target or port}]
    return _object("v1", "Service", namespace, name, spec={"selector": {"app": name}, "ports": ports})


def ingress(namespace: str, name: str, paths: Mapping[str, str], *, class_name: str, port: int = 80) -> Manifest:
    """Return an Ingress of every host: path prefix -> Service."""
    rules = [
        {"path": path, "pathType": "Prefix", "backend": {"service": {"name": to, "port": {"number": port}}}}
        for path, to in paths.items()
    ]
    spec = {"ingressClassName": class_name, "rules": [{"http": {"paths": rules}}]}
    return _object("networking.k8s.io/v1", "Ingress", namespace, name, spec=spec)


def tls_secret(namespace: str, name: str, data: Mapping[str, bytes]) -> Manifest:
    """Return a Secret with a certificate and its key."""
    encoded = {key: b64encode(value).decode() for key, value in data.items()}
    return _object("v1", "Secret", namespace, name, type="kubernetes.io/tls", data=encoded)


def node(name: str, address: str) -> Manifest:
    """Return a Node; its address goes into its status, which is applied apart."""
    return _object("v1", "Node", "", name, status={"addresses": [{"type": "InternalIP", "address": address}]})


def pod(namespace: str, name: str, app: str, node: str = "node-1") -> Manifest:
    """Return a Pod that somebody has put on a node; nothing runs it."""
    spec = {"nodeName": node, "containers": [{"name": "app", "image": "none"}]}
    made = _object("v1", "Pod", namespace, name, spec=spec)
    made["metadata"]["labels"] = {"app": app}
    return made


def running(namespace: str, name: str, address: str) -> Manifest:
    """Return the status that a kubelet would write for a Pod that runs and is ready."""
    status = {
        "phase": "Running",
        "podIP": address,
        "podIPs": [{"ip": address}],
        "conditions": [{"type": "Ready", "status": "True"}],
    }
    return _object("v1", "Pod", namespace, name, status=status)


def cluster_role(name: str, *rules: tuple[str, str, list[str]]) -> Manifest:
    """Return a ClusterRole: API group, resource and verbs of each rule."""
    made = [{"apiGroups": [group], "resources": [resource], "verbs": verbs} for group, resource, verbs in rules]
    return _object("rbac.authorization.k8s.io/v1", "ClusterRole", "", name, rules=made)


def bound(role: str, user: str) -> Manifest:
    """Return what gives a ClusterRole to a user."""
    group = "rbac.authorization.k8s.io"
    reference = {"apiGroup": group, "kind": "ClusterRole", "name": role}
    subjects = [{"apiGroup": group, "kind": "User", "name": user}]
    made = _object(f"{group}/v1", "ClusterRoleBinding", "", f"{role}-{user}", roleRef=reference)
    return {**made, "subjects": subjects}
