"""The manifests are taken by a real API server as they are, and run with no more rights than they need."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.rig.envoy import Envoy
from tests.e2e.rig.fetching import fetch
from tests.e2e.rig.waiting import eventually
from tests.kube.cluster import Cluster
from tests.kube.stage import MANIFESTS, envoy_binary

ROOT = MANIFESTS.parent.parent
MTLS = ROOT / "kind" / "mtls"
EXAMPLES = [ROOT / "kind/bookinfo.yaml", ROOT / "examples/bookinfo", ROOT / "examples/compose/endpointslices.yaml"]


@pytest.fixture(scope="module")
def made(cluster: Cluster, account: Path) -> dict[str, dict[str, Any]]:
    """Return what the manifests make, by kind and name; it is all there."""
    text = cluster.kubectl("kustomize", str(MANIFESTS))
    return {f"{one['kind']}/{one['metadata']['name']}": one for one in yaml.safe_load_all(text)}


def _pod(owner: dict[str, Any], namespace: str) -> dict[str, Any]:
    """Return a Pod as the controller of its owner would make it."""
    template = owner["spec"]["template"]
    metadata = {**template["metadata"], "name": "probe", "namespace": namespace}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": dict(template["spec"])}


def _created(cluster: Cluster, pod: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    """Try to make a Pod; the API server takes a moment to notice that a ServiceAccount is there."""
    words = ("create", "-f", "-", "--dry-run=server", "--validate=strict", "-o=json")

    def answer() -> subprocess.CompletedProcess[str] | None:
        done = cluster.run_kubectl(*words, text=json.dumps(pod))
        return None if "not found" in done.stderr else done

    found = eventually(answer, within=20.0, what="an answer about the Pod")
    assert found is not None
    return found


@pytest.mark.parametrize("folder", [MANIFESTS, MTLS], ids=["plain", "mtls"])
def test_the_api_server_takes_everything_without_a_word(cluster: Cluster, account: Path, folder: Path) -> None:
    """Every field is known, and nothing is worth a warning, of Pod Security for instance."""
    words = ("apply", "--server-side", "--force-conflicts", "--validate=strict", "--dry-run=server", "-k", str(folder))
    done = cluster.run_kubectl(*words)
    assert (done.returncode, done.stderr) == (0, "")
    kinds = {line.partition("/")[0].partition(".")[0] for line in done.stdout.splitlines()}
    assert kinds >= {"namespace", "clusterrole", "deployment", "daemonset", "ingressclass", "poddisruptionbudget"}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_api_server_takes_the_examples_too(cluster: Cluster, account: Path, path: Path) -> None:
    """Those that are for a cluster, and what docker-compose.yml mounts; every field is known."""
    words = ("apply", "--server-side", "--force-conflicts", "--validate=strict", "--dry-run=server", "-f", str(path))
    done = cluster.run_kubectl(*words)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_control_plane_is_let_in_where_pods_have_to_be_restricted(
    cluster: Cluster, made: dict[str, dict[str, Any]]
) -> None:
    """Its namespace enforces that, by the API server's own admission; Envoy would be turned away there."""
    taken = _created(cluster, _pod(made["Deployment/nodegate"], "nodegate-system"))
    assert (taken.returncode, taken.stderr) == (0, "")
    pod = json.loads(taken.stdout)
    assert pod["spec"]["serviceAccountName"] == "nodegate"
    other = _pod(made["DaemonSet/envoy"], "nodegate-system")
    other["spec"]["serviceAccountName"] = "nodegate"
    refused = _created(cluster, other)
    assert 'violates PodSecurity "restricted:latest": host namespaces (hostNetwork=true)' in refused.stderr


@pytest.mark.parametrize("name", ["envoy", "agent"])
def test_what_runs_on_nodes_is_let_in_in_its_own_namespace(
    cluster: Cluster, made: dict[str, dict[str, Any]], name: str
) -> None:
    """It may do nothing at the API server: it has no token at all."""
    taken = _created(cluster, _pod(made[f"DaemonSet/{name}"], "nodegate-nodes"))
    assert (taken.returncode, taken.stderr) == (0, "")
    spec = json.loads(taken.stdout)["spec"]
    assert "serviceaccount" not in json.dumps(spec["volumes"])
    assert "token" not in json.dumps(spec["volumes"])


def test_an_envoy_that_is_to_end_tells_its_clients_first(made: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    """The words of its preStop, given to a real Envoy: every answer then asks the client to close."""
    (container,) = made["DaemonSet/envoy"]["spec"]["template"]["spec"]["containers"]
    shell, flag, script = container["lifecycle"]["preStop"]["exec"]["command"]
    envoy = Envoy(envoy_binary(), "127.0.0.1:1", "delta", tmp_path / "log", bootstrap=_static_listener())
    try:
        port = envoy.wait_until(lambda: envoy.listeners().get("static"), what="the listener")
        url = f"http://127.0.0.1:{port}/"
        assert fetch(url).headers.get("connection") is None
        admin = script.replace("/9901", f"/{envoy.admin.rpartition(':')[2]}")
        assert admin != script
        subprocess.run([shell, flag, admin.replace("sleep 12", "sleep 0.2")], check=True, timeout=10)
        envoy.wait_until(lambda: fetch(url).headers.get("connection") == "close", what="a word to the client")
    finally:
        envoy.stop()


def _static_listener() -> dict[str, Any]:
    """Return the part of a bootstrap that makes a listener of its own, and no stream to anybody."""
    types = "type.googleapis.com/envoy.extensions.filters"
    router = {"name": "router", "typed_config": {"@type": f"{types}.http.router.v3.Router"}}
    routes = [{"match": {"prefix": "/"}, "direct_response": {"status": 200}}]
    manager = {
        "@type": f"{types}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "static",
        "http_filters": [router],
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]},
    }
    listener = {
        "name": "static",
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}},
        "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
    }
    return {"static_resources": {"listeners": [listener]}, "dynamic_resources": {}}
