"""Fixtures of the tests against a real Kubernetes API: one for the whole run, and a namespace for each test."""

from __future__ import annotations

import secrets
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from tests.e2e.rig.addresses import free_port
from tests.e2e.rig.backend import Backends
from tests.kube.cluster import Cluster
from tests.kube.stage import ACCOUNT, MANIFESTS, own_address
from tools.kubernetes import AssetsError, present


@pytest.fixture(scope="session")
def programs() -> Path:
    """Return the folder with the programs of Kubernetes; tests build nothing."""
    try:
        return present()
    except AssetsError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def cluster(programs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Return the cluster that all tests share; a test that takes a part of it away brings it back."""
    cluster = Cluster(programs, tmp_path_factory.mktemp("kubernetes"))
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture(scope="session")
def account(cluster: Cluster) -> Path:
    """Return a configuration with the token of the ServiceAccount that our manifests make, and its rules alone."""
    cluster.kubectl("apply", "--server-side", "--validate=strict", "-k", str(MANIFESTS))
    namespace, name = ACCOUNT
    token = cluster.kubectl("create", "token", name, "-n", namespace).strip()
    return cluster.write_kubeconfig("nodegate-account", {"token": token})


@pytest.fixture(scope="session")
def backends(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backends]:
    """Return two backends on an address that Kubernetes takes for a Pod's."""
    address = own_address()
    names = {name: (address, free_port(address)) for name in ("details", "reviews")}
    backends = Backends(names, tmp_path_factory.mktemp("backends") / "log")
    yield backends
    backends.stop()


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[str]:
    """Return a namespace of its own; it goes away, with all that is in it, while the next test runs."""
    name = f"test-{secrets.token_hex(4)}"
    cluster.kubectl("create", "namespace", name)
    yield name
    cluster.kubectl("delete", "pods", "--all", "-n", name, "--force", "--grace-period=0", "--wait=false")  # no kubelet
    cluster.kubectl("delete", "namespace", name, "--wait=false")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the logs of the cluster next to a failure."""
    report = yield
    cluster = getattr(item, "funcargs", {}).get("cluster")
    if report.failed and isinstance(cluster, Cluster):
        report.sections += cluster.logs()
    return report


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark everything below this folder as slow: it starts processes."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker("slow")
