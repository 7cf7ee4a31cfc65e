"""Record what a real API server sends, for the tests in virtual time (``python -m tests.kube.record``).

It writes ``tests/unit/kubernetes/recorded/``: the bytes of answers, exactly as they came. Run it when the version of
Kubernetes changes, and read the difference.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from tests.kube.cluster import PORT, Cluster
from tests.kube.http import Watch, ask
from tools.kubernetes import assets

TARGET = Path(__file__).resolve().parent.parent / "unit" / "kubernetes" / "recorded"
SERVICES = "/api/v1/namespaces/shop/services"
STREAM = "watch=true&allowWatchBookmarks=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&timeoutSeconds=8"


def main() -> None:
    """Start a cluster, let things happen to Services, and keep what was heard of it."""
    TARGET.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="nodegate-record-") as folder:
        cluster = Cluster(assets(), Path(folder))
        try:
            cluster.start()
            _record(cluster)
        finally:
            cluster.stop()


def _record(cluster: Cluster) -> None:
    cluster.kubectl("create", "namespace", "shop")
    for name in ("apples", "bread", "cheese"):
        cluster.kubectl("create", "service", "clusterip", name, "--tcp=80", "-n", "shop")
    _keep("page-1", ask(cluster, f"{SERVICES}?limit=2"))
    token = ask(cluster, f"{SERVICES}?limit=2").decode().partition('"continue":"')[2].partition('"')[0]
    _keep("page-2", ask(cluster, f"{SERVICES}?limit=2&continue={token}"))
    _keep("forbidden", ask(cluster, "/api/v1/secrets", cluster.pki.client("nobody")))
    _keep("unauthorized", ask(cluster, "/api/v1/secrets", token="made-up"))
    with Watch(cluster, f"{SERVICES}?{STREAM}") as stream:
        time.sleep(1.0)
        cluster.kubectl("label", "service", "apples", "-n", "shop", "colour=red")
        cluster.kubectl("create", "service", "clusterip", "dates", "--tcp=80", "-n", "shop")
        cluster.kubectl("delete", "service", "bread", "-n", "shop")
        _keep("stream", stream.rest())
    _keep("too-old", _watch_from(cluster, 1))
    cluster.kill_etcd()
    _keep("no-storage", _error(cluster, f"{SERVICES}?limit=2&timeout=5s", 504))


def _error(cluster: Cluster, path: str, status: int) -> bytes:
    with Watch(cluster, path) as answer:
        body = answer.rest()
        if answer.status != status:
            raise AssertionError(f"{path}: {answer.status} {body!r}")
        return body


def _watch_from(cluster: Cluster, version: int) -> bytes:
    """Ask a server that has started anew since: what its own memory does not hold, the storage has forgotten."""
    cluster.compact()
    cluster.kill_api_server(PORT)
    cluster.start_api_server()
    with Watch(cluster, f"{SERVICES}?watch=true&resourceVersion={version}&timeoutSeconds=2") as stream:
        return stream.rest()


def _keep(name: str, content: bytes) -> None:
    sys.stdout.write(f"{name}: {len(content)} bytes\n")
    (TARGET / name).write_bytes(content)


if __name__ == "__main__":
    main()
