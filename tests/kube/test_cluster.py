"""The cluster of the tests does what a cluster does, where nodegate depends on it."""

from __future__ import annotations

from tests.e2e.rig.waiting import eventually
from tests.kube.cluster import Cluster
from tests.kube.manifests import node, pod, running, service


def test_a_service_of_type_load_balancer_gets_a_node_port(cluster: Cluster, namespace: str) -> None:
    """The API server gives it, not a controller."""
    made = service(namespace, "web")
    made["spec"]["type"] = "LoadBalancer"
    cluster.apply(made)
    (port,) = cluster.get("service", "web", "-n", namespace)["spec"]["ports"]
    assert 30_000 <= port["nodePort"] <= 32_767


def test_a_pod_that_is_ready_becomes_an_endpoint(cluster: Cluster, namespace: str) -> None:
    """Its status is what a kubelet would write; the controller manager does the rest."""
    cluster.apply(node("node-1", "192.0.2.1"), service(namespace, "web"), pod(namespace, "web-1", "web"))
    cluster.apply(running(namespace, "web-1", "10.244.1.7"), status=True)

    def endpoints() -> list[str]:
        slices = cluster.get("endpointslices", "-n", namespace, "-l", "kubernetes.io/service-name=web")["items"]
        return [endpoint["addresses"][0] for item in slices for endpoint in item["endpoints"] or ()]

    eventually(lambda: endpoints() == ["10.244.1.7"], within=30, what="the endpoint of the Pod")


def test_who_has_no_rule_may_not_read(cluster: Cluster) -> None:
    """RBAC is on."""
    config = cluster.kubeconfig_of("nobody")
    done = cluster.run_kubectl("get", "secrets", "-A", f"--kubeconfig={config}")
    assert done.returncode != 0
    assert "forbidden" in done.stderr
