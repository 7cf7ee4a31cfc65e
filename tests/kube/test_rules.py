"""nodegate does all it does under the rules of its manifests, and these grant nothing that it does not do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import product
from pathlib import Path

import pytest
import yaml

from nodegate.status.certificate import NAME as OWN_SECRET
from tests.e2e.rig.envoy import Envoy
from tests.e2e.rig.waiting import eventually
from tests.kube.audit import Audit, Rule
from tests.kube.cluster import Cluster
from tests.kube.control_plane import ControlPlane
from tests.kube.manifests import ingress, node
from tests.kube.stage import ACCOUNT, MANIFESTS, at_server, envoy_binary

AUDITED = 6447

soon = partial(eventually, within=30.0)


@pytest.fixture
def audit(cluster: Cluster, tmp_path: Path) -> Iterator[Audit]:
    """Return the audit log of an API server that does not stream listings: it is listed from in pages, then watched."""
    audit = Audit(tmp_path, "system:serviceaccount:{}:{}".format(*ACCOUNT))
    cluster.start_api_server(AUDITED, {"feature-gates": "WatchList=false", **audit.flags})
    yield audit
    cluster.kill_api_server(AUDITED)


def _granted() -> set[Rule]:
    """Return every rule that the manifests grant."""
    documents = yaml.safe_load_all((MANIFESTS / "rbac.yaml").read_text())
    rules = [rule for one in documents if one["kind"] in {"Role", "ClusterRole"} for rule in one["rules"]]
    assert not any("*" in str(rule) for rule in rules)
    return {one for rule in rules for one in product(rule["apiGroups"], rule["resources"], rule["verbs"])}


@pytest.mark.timeout(120)
def test_every_rule_is_used_and_none_is_missing(
    cluster: Cluster, namespace: str, account: Path, audit: Audit, tmp_path: Path
) -> None:
    """The API server's own audit log says what was asked for, by the ServiceAccount with its token."""
    # As if it were the first replica of all.
    cluster.kubectl("delete", "lease/nodegate", f"secret/{OWN_SECRET}", "-n", ACCOUNT[0], "--ignore-not-found")
    config = at_server(account, cluster.server_at(AUDITED), tmp_path)
    with _serving(ControlPlane(config, tmp_path / "shared.log", "--listener-mode", "shared")):
        soon(lambda: ("", "secrets", "create") in audit.used(), what="the certificate of all replicas")
    plane = ControlPlane(config, tmp_path / "nodegate.log")
    plane.start()
    envoy = Envoy(envoy_binary(), plane.xds_address, "delta", tmp_path / "envoy.log")
    try:
        # An Ingress is served and gets its address; one is wrong and hears of it; one goes to another class and back.
        cluster.apply(node("node-1", "192.0.2.10"), ingress(namespace, "shop", {"/": "web"}, class_name="nodegate"))
        cluster.apply(node("node-1", "192.0.2.10"), status=True)
        cluster.apply(ingress(namespace, "wrong", {"/(": "web"}, class_name="nodegate"))
        get = ("get", "ingress", "shop", "-n", namespace, "-o=jsonpath={.status.loadBalancer.ingress[*].ip}")
        soon(lambda: cluster.kubectl(*get), what="the address")
        soon(lambda: _is_told(cluster, namespace, "shop"), what="the Event about its Service")
        cluster.apply(ingress(namespace, "shop", {"/": "web"}, class_name="another"))
        soon(lambda: not cluster.kubectl(*get), what="the end of the address")
        cluster.apply(ingress(namespace, "shop", {"/": "web"}, class_name="nodegate"))  # what is wrong is told again
        soon(lambda: _all_used(audit), what="the use of every rule")
    finally:
        envoy.stop()
        plane.stop()
    assert audit.refused() == []
    assert audit.used() == _granted()


@contextmanager
def _serving(plane: ControlPlane) -> Iterator[None]:
    plane.start()
    try:
        yield
    finally:
        plane.stop()


def _is_told(cluster: Cluster, namespace: str, name: str) -> bool:
    return "ServiceNotFound" in cluster.kubectl("describe", "ingress", name, "-n", namespace)


def _all_used(audit: Audit) -> bool:
    unused = sorted(_granted() - audit.used())
    assert not unused, f"not used yet: {unused}"
    return True
