"""How nodegate finds its cluster: in a Pod, and by a context of a configuration; and tokens that are replaced."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import yaml

from nodegate.settings import KubernetesAccess
from nodegate.source.kubernetes import connect
from nodegate.source.kubernetes.answers import Refused
from tests.e2e.rig.addresses import free_port
from tests.e2e.rig.fetching import fetch
from tests.e2e.rig.processes import Child, python
from tests.e2e.rig.waiting import eventually
from tests.kube.cluster import PORT, Cluster
from tests.kube.control_plane import ControlPlane
from tests.kube.manifests import service
from tests.kube.stage import ACCOUNT

soon = partial(eventually, within=30.0)

MOUNTED = "/run/secrets/kubernetes.io/serviceaccount"


class Mount:
    """A ServiceAccount's files as a kubelet mounts them: links into a folder that is swapped as a whole."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._versions = 0

    def put(self, token: str, authority: Path) -> None:
        """Write a new version of all files, and swap it in."""
        self._versions += 1
        version = self.folder / f"..{self._versions}"
        version.mkdir(parents=True)
        (version / "token").write_text(token)
        shutil.copy(authority, version / "ca.crt")
        (version / "namespace").write_text(ACCOUNT[0])
        fresh = self.folder / "..data.new"
        fresh.symlink_to(version.name)
        fresh.rename(self.folder / "..data")
        for name in ("token", "ca.crt", "namespace"):
            link = self.folder / name
            if not link.is_symlink():
                link.symlink_to(f"..data/{name}")


class InPod:
    """A control plane as in a Pod: no configuration, two variables, and the mounted files."""

    def __init__(self, cluster: Cluster, mount: Mount, folder: Path) -> None:
        addresses = {name: f"127.0.0.1:{free_port()}" for name in ("xds", "http", "debug")}
        self._debug = addresses["debug"]
        words = [f"--{name}-address={address}" for name, address in addresses.items()]
        serve = python("nodegate", "serve", "--source=kubernetes", *words)
        see = f"mount -t tmpfs none /run && mkdir -p {MOUNTED} && mount --bind {mount.folder} {MOUNTED}"
        environment = {"KUBERNETES_SERVICE_HOST": cluster.address, "KUBERNETES_SERVICE_PORT": str(PORT)}
        environment |= {"HOME": str(folder), "KUBECONFIG": ""}
        command = ["unshare", "--mount", "sh", "-euc", f'{see} && exec "$@"', "sh", *serve]
        self.process = Child(command, folder / "nodegate.log", environment=environment)

    def says(self, page: str) -> str:
        """Return a debug page."""
        self.process.require_alive()
        return fetch(f"http://{self._debug}/debug/{page}?format=json").body


@pytest.fixture
def mount(tmp_path: Path) -> Mount:
    """Return the files of a ServiceAccount, empty yet."""
    if os.geteuid() != 0:
        pytest.skip("files in the place where a Pod has them take a mount namespace: run the tests as root")
    return Mount(tmp_path / "serviceaccount")


@pytest.fixture
def in_pod(cluster: Cluster, account: Path, mount: Mount, tmp_path: Path) -> Iterator[InPod]:
    """Return a control plane whose token is not valid (any more)."""
    mount.put("an-old-one", cluster.pki.authority)
    running = InPod(cluster, mount, tmp_path)
    yield running
    running.process.stop()


def test_in_a_pod_its_own_cluster_is_the_source(
    cluster: Cluster, account: Path, namespace: str, mount: Mount, in_pod: InPod
) -> None:
    """By the token, the authority and the two variables that every Pod has; a new token is read when it is needed."""
    soon(lambda: "401" in in_pod.says("problems"), what="a word about the token")
    own, name = ACCOUNT
    mount.put(cluster.kubectl("create", "token", name, "-n", own).strip(), cluster.pki.authority)
    cluster.apply(service(namespace, "web"))
    soon(lambda: f'"{namespace}"' in in_pod.says("objects"), what="the objects of the cluster")
    soon(lambda: '"code"' not in in_pod.says("problems"), what="an end of the problem")
    assert f"in-cluster, {MOUNTED.replace('/run', '/var/run')}" in in_pod.process.tail(100)


async def test_a_token_that_expired_is_read_anew_before_something_is_written(
    cluster: Cluster, account: Path, namespace: str, tmp_path: Path
) -> None:
    """No watch need have noticed: those that are open stay open."""
    own, name = ACCOUNT
    token = tmp_path / "token"
    token.write_text("an-old-one")
    config = cluster.write_kubeconfig("by-token-file", {"tokenFile": str(token)})
    made = service(namespace, "nodegate-web")
    words = ("PATCH", f"/api/v1/namespaces/{namespace}/services/nodegate-web", {"fieldManager": "test"})
    async with connect(KubernetesAccess(kubeconfig=str(config))) as connection:
        token.write_text(cluster.kubectl("create", "token", name, "-n", own).strip())
        await connection.send(*words, json.dumps(made).encode(), "application/apply-patch+yaml")
        token.write_text("another-old-one")
        await connection.renew()
        with pytest.raises(Refused, match="401"):
            await connection.send(*words, json.dumps(made).encode(), "application/apply-patch+yaml")
    assert cluster.get("service", "nodegate-web", "-n", namespace)["spec"]["ports"][0]["port"] == 80


def test_a_context_chooses_the_cluster_and_who_one_is(
    cluster: Cluster, account: Path, namespace: str, tmp_path: Path
) -> None:
    """The current context leads nowhere; the one that is named counts."""
    content = yaml.safe_load(account.read_text())
    nowhere = {"name": "nowhere", "cluster": {"server": "https://127.0.0.1:1"}}
    content["clusters"].append(nowhere)
    (context,) = content["contexts"]
    content["contexts"].append({"name": "elsewhere", "context": {**context["context"], "cluster": "nowhere"}})
    content["current-context"] = "elsewhere"
    config = tmp_path / "two.kubeconfig"
    config.write_text(yaml.safe_dump(content))
    cluster.apply(service(namespace, "web"))
    plane = ControlPlane(config, tmp_path / "nodegate.log", "--context", context["name"])
    plane.start()
    try:
        assert f"'{namespace}'" in str(plane.debug("objects"))
        assert f"context {context['name']} of {config}" in plane.log()
    finally:
        plane.stop()
