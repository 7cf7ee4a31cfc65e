"""What a whole takes besides a cluster: an Envoy, backends as Pods, and a configuration for another API server."""

from __future__ import annotations

import http.client
import socket
import ssl
from pathlib import Path

import pytest
import yaml

from nodegate.demo.envoy_binary import ENVIRONMENT, cached_envoy
from tests.e2e.rig.backend import Backends
from tests.kube.cluster import Cluster
from tests.kube.manifests import node, pod, running, service

MANIFESTS = Path(__file__).resolve().parent.parent.parent / "kind" / "manifests"
ACCOUNT = ("nodegate-system", "nodegate")


def envoy_binary() -> Path:
    """Return the Envoy to test with, or skip."""
    binary = cached_envoy()
    if binary is None:
        pytest.skip(f"no Envoy: run `python -m nodegate.demo.envoy_binary` to install one, or set {ENVIRONMENT}")
    return binary


def own_address() -> str:
    """Return an address of this machine that is not loopback: the API server refuses that in EndpointSlices."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("198.51.100.1", 9))  # sends nothing, but asks for a route
        except OSError:
            pytest.skip("this machine has no address but loopback, and Kubernetes has no use for that in a Pod")
        return str(probe.getsockname()[0])


def run_backend(cluster: Cluster, namespace: str, backends: Backends, name: str) -> None:
    """Make a Service with one Pod that is ready, as if a kubelet ran it."""
    address, port = backends[name]
    cluster.apply(node("node-1", "192.0.2.10"), service(namespace, name, 80, port), pod(namespace, f"{name}-1", name))
    cluster.apply(running(namespace, f"{name}-1", address), status=True)


def at_server(config: Path, server: str, folder: Path) -> Path:
    """Return a copy of a configuration that names another server."""
    content = yaml.safe_load(config.read_text())
    content["clusters"][0]["cluster"]["server"] = server
    path = folder / "other.kubeconfig"
    path.write_text(yaml.safe_dump(content))
    return path


def fetch_tls(port: int, host: str, path: str) -> str:
    """Return what a host answers over TLS, whatever its certificate; raises OSError where there is no handshake."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", port), timeout=5) as plain:
        connection = http.client.HTTPConnection(host)
        connection.sock = context.wrap_socket(plain, server_hostname=host)
        connection.request("GET", path)
        body = connection.getresponse().read().decode()
        connection.close()
        return body
