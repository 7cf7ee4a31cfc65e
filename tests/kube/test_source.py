"""The source against a real API server: what it tells, and that nothing a server does is lost on it."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from nodegate.model.objects import Service
from nodegate.model.refs import Kind, Ref
from nodegate.source.kubernetes.informer import QUIET_SECONDS
from nodegate.source.kubernetes.resources import WATCHED
from tests.e2e.rig.relay import Relay
from tests.kube.cluster import Cluster, by_files
from tests.kube.following import following, until
from tests.kube.manifests import bound, cluster_role, ingress, ingress_class, service
from tests.kube.pki import KeyFiles, Pki

SECOND = 6444
READ = ["list", "watch"]


@pytest.fixture(scope="session")
def reader(cluster: Cluster) -> Path:
    """Return a configuration of a user who may read exactly what the source watches."""
    rules = [(resource.group, resource.plural, READ) for resource in WATCHED]
    cluster.apply(cluster_role("reader", *rules), bound("reader", "reader"))
    return cluster.kubeconfig_of("reader")


@pytest.fixture
def second(cluster: Cluster) -> Iterator[int]:
    """Return the port of a second API server on the same storage: it can be killed while objects change."""
    cluster.start_api_server(SECOND)
    yield SECOND
    cluster.kill_api_server(SECOND)


async def _kubectl(cluster: Cluster, *words: str) -> str:
    return await asyncio.to_thread(cluster.kubectl, *words)


async def test_what_exists_is_listed_and_what_changes_is_told(cluster: Cluster, namespace: str, reader: Path) -> None:
    """Every kind nodegate reads, under the rules it has to have and no others."""
    cluster.apply(service(namespace, "web"), ingress(namespace, "shop", {"/": "web"}, class_name="nodegate"))
    async with following(reader) as world:
        await until(lambda: world.synced, what="the first listing")
        assert world.problems == ()
        assert world.names(Kind.INGRESS, namespace) == {"shop"}
        assert world.names(Kind.SERVICE, namespace) == {"web"}
        assert Ref(Kind.NAMESPACE, "", namespace) in world.objects

        await _kubectl(cluster, "label", "service", "web", "-n", namespace, "colour=red")
        web = Ref(Kind.SERVICE, namespace, "web")
        await until(lambda: world.objects[web].metadata.labels == {"colour": "red"}, what="the label")
        await _kubectl(cluster, "delete", "service", "web", "-n", namespace)
        await until(lambda: web not in world.objects, what="the deletion")


async def test_only_tls_secrets_are_ever_read(cluster: Cluster, namespace: str, reader: Path) -> None:
    """The field selector keeps every other Secret out of the process."""
    await _kubectl(cluster, "create", "secret", "generic", "password", "-n", namespace, "--from-literal=word=x")
    keys = cluster.admin
    flags = [f"--cert={keys.certificate}", f"--key={keys.key}"]
    await _kubectl(cluster, "create", "secret", "tls", "certificate", "-n", namespace, *flags)
    async with following(reader) as world:
        await until(lambda: world.synced, what="the first listing")
        assert world.names(Kind.SECRET, namespace) == {"certificate"}


async def test_one_namespace_is_watched_with_rules_for_it_alone(cluster: Cluster, namespace: str) -> None:
    """What a Role cannot grant counts as none, and the problem names the rule."""
    user = f"tenant-{namespace}"
    rules = [(resource.group, resource.plural, READ) for resource in WATCHED if resource.kind.namespaced]
    cluster.apply(cluster_role(user, *rules), service(namespace, "web"), service("default", "elsewhere"))
    await _kubectl(cluster, "create", "rolebinding", user, f"--clusterrole={user}", f"--user={user}", "-n", namespace)
    async with following(cluster.kubeconfig_of(user), [namespace]) as world:
        await until(lambda: world.synced, what="the first listing")
        assert world.names(Kind.SERVICE, namespace) == {"web"}
        assert world.names(Kind.SERVICE, "default") == set()
        assert {problem.ref.kind for problem in world.problems} == {Kind.INGRESS_CLASS, Kind.NAMESPACE, Kind.NODE}


async def test_a_missing_rule_is_named_and_its_coming_is_noticed(cluster: Cluster, namespace: str) -> None:
    """403: nothing is served before it is known what there is; the rule may come at any time."""
    user = f"late-{namespace}"
    rules = [(resource.group, resource.plural, READ) for resource in WATCHED]
    cluster.apply(cluster_role(user, *rules[:-1]), bound(user, user))
    async with following(cluster.kubeconfig_of(user)) as world:
        problem = (await until(lambda: world.problems, what="the problem"))[0]
        assert problem.ref == Ref(Kind.NODE, "", "*")
        assert 'apiGroups: [""], resources: ["nodes"], verbs: ["list", "watch"]' in problem.remedy
        assert not world.synced
        await asyncio.to_thread(cluster.apply, cluster_role(user, *rules))
        await until(lambda: world.synced and not world.problems, what="the first listing")


async def test_deletions_while_the_server_was_gone_are_told(
    cluster: Cluster, namespace: str, reader: Path, second: int
) -> None:
    """Killed, its storage compacted meanwhile, and started again: 410, a new listing, and the difference."""
    cluster.apply(*(service(namespace, name) for name in ("stays", "goes", "changes")))
    config = cluster.kubeconfig_of("reader", port=second)
    async with following(config) as world:
        await until(lambda: world.synced, what="the first listing")
        cluster.kill_api_server(second)
        await until(lambda: world.problems, what="the problem")
        assert world.names(Kind.SERVICE, namespace) == {"stays", "goes", "changes"}

        await _kubectl(cluster, "delete", "service", "goes", "-n", namespace)
        await _kubectl(cluster, "label", "service", "changes", "-n", namespace, "colour=red")
        await asyncio.to_thread(cluster.apply, service(namespace, "comes"))
        await asyncio.to_thread(cluster.compact)
        told = len(world.batches)
        await asyncio.to_thread(cluster.start_api_server, second)

        there = {"stays", "changes", "comes"}
        await until(lambda: world.names(Kind.SERVICE, namespace) == there, within=40, what="the difference")
        changed = world.objects[Ref(Kind.SERVICE, namespace, "changes")]
        assert isinstance(changed, Service)
        assert changed.metadata.labels == {"colour": "red"}
        await until(lambda: not world.problems, within=40, what="the end of the problem")
        again = {change.ref.name for batch in world.batches[told:] for change in batch.changes}
        assert "stays" not in again


@pytest.mark.timeout(150)
@pytest.mark.parametrize("seconds", [3.0, pytest.param(60.0, marks=pytest.mark.full)])
async def test_after_a_server_was_gone_what_is_known_is_what_there_is(
    cluster: Cluster, namespace: str, reader: Path, second: int, seconds: float
) -> None:
    """Objects come, change and go all the time, and the storage forgets what they were in between."""
    cluster.apply(*(service(namespace, f"s{number}") for number in range(5)))
    async with following(cluster.kubeconfig_of("reader", port=second)) as world:
        await until(lambda: world.synced, what="the first listing")
        cluster.kill_api_server(second)
        rounds = await asyncio.to_thread(_churn, cluster, namespace, seconds)
        assert rounds > seconds / 5
        await asyncio.to_thread(cluster.start_api_server, second)
        there = {one["metadata"]["name"]: one["metadata"].get("labels", {}) for one in _services(cluster, namespace)}

        def known() -> dict[str, dict[str, str]]:
            refs = [ref for ref in world.objects if (ref.kind, ref.namespace) == (Kind.SERVICE, namespace)]
            return {ref.name: dict(world.objects[ref].metadata.labels) for ref in refs}

        await until(lambda: known() == there, within=60, what="what there is")
        await until(lambda: not world.problems, within=60, what="the end of the problem")


@pytest.mark.full
@pytest.mark.timeout(300)
async def test_connections_that_went_silent_are_noticed_and_begun_anew(
    cluster: Cluster, namespace: str, reader: Path
) -> None:
    """Half-open: something in between has forgotten them and tells nobody. It takes as long as a watch may be quiet."""
    with Relay(cluster.server.removeprefix("https://")) as relay:
        content = yaml.safe_load(await asyncio.to_thread(reader.read_text))
        content["clusters"][0]["cluster"] |= {"server": f"https://{relay.address}", "tls-server-name": cluster.address}
        config = reader.with_name("relayed.kubeconfig")
        await asyncio.to_thread(config.write_text, yaml.safe_dump(content))
        async with following(config) as world:
            await until(lambda: world.synced, what="the first listing")
            relay.silence()
            await asyncio.to_thread(cluster.apply, service(namespace, "web"))
            await asyncio.sleep(5)
            assert world.names(Kind.SERVICE, namespace) == set()
            within = 2 * QUIET_SECONDS + 60
            await until(lambda: world.names(Kind.SERVICE, namespace) == {"web"}, within=within, what="the Service")
            await until(lambda: not world.problems, within=within, what="the end of every problem")


def _churn(cluster: Cluster, namespace: str, seconds: float) -> int:
    """Change objects for some seconds, compact the storage now and then, and return how often."""
    end, rounds = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        cluster.apply(service(namespace, f"n{rounds}"))
        cluster.kubectl("label", "service", f"s{rounds % 5}", "-n", namespace, "--overwrite", f"round={rounds}")
        if rounds % 3 == 2:
            cluster.kubectl("delete", "service", f"n{rounds - 1}", "-n", namespace)
            cluster.compact()
        rounds += 1
    return rounds


def _services(cluster: Cluster, namespace: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = cluster.get("services", "-n", namespace)["items"]
    return found


async def test_a_token_that_was_replaced_is_read_anew(cluster: Cluster, namespace: str, tmp_path: Path) -> None:
    """401: the file of the token holds a new one by then."""
    user = f"system:serviceaccount:{namespace}:nodegate"
    await _kubectl(cluster, "create", "serviceaccount", "nodegate", "-n", namespace)
    rules = [(resource.group, resource.plural, READ) for resource in WATCHED]
    role = f"token-{namespace}"
    cluster.apply(cluster_role(role, *rules), bound(role, user))
    token = tmp_path / "token"
    token.write_text("an-old-one")
    async with following(cluster.write_kubeconfig(role, {"tokenFile": str(token)})) as world:
        problem = (await until(lambda: world.problems, what="the problem"))[0]
        assert "401" in problem.message
        token.write_text(await _kubectl(cluster, "create", "token", "nodegate", "-n", namespace))
        await until(lambda: world.synced and not world.problems, what="the first listing")


@pytest.mark.timeout(120)
async def test_certificates_are_replaced_while_it_runs(
    cluster: Cluster, namespace: str, second: int, reader: Path, tmp_path: Path
) -> None:
    """The authority, the server's own, and then the client's: what is needed is read anew from the files there are."""
    keys = cluster.pki.client("reader")
    keys = KeyFiles(Path(shutil.copy(keys.certificate, tmp_path)), Path(shutil.copy(keys.key, tmp_path)))
    mine, other = Pki(tmp_path / "mine"), Pki(tmp_path / "other")
    shutil.copy(cluster.pki.authority, mine.authority)
    config = cluster.write_kubeconfig("rotated", by_files(keys), cluster.server_at(second), pki=mine)
    async with following(config) as world:
        await until(lambda: world.synced, what="the first listing")
        cluster.kill_api_server(second)
        await asyncio.to_thread(cluster.start_api_server, second, pki=other)
        await until(lambda: "CERTIFICATE_VERIFY_FAILED" in str(world.problems), what="a word about the server's")
        shutil.copy(other.authority, mine.authority)
        await until(lambda: "401 Unauthorized" in str(world.problems), what="a word about the client's")
        fresh = other.client("reader")
        shutil.copy(fresh.certificate, keys.certificate)
        shutil.copy(fresh.key, keys.key)
        await asyncio.to_thread(cluster.apply, service(namespace, "web"))
        await until(lambda: world.names(Kind.SERVICE, namespace) == {"web"}, within=60, what="the Service")
        await until(lambda: not world.problems, within=60, what="the end of the problem")


async def test_a_class_is_told_like_everything_else(cluster: Cluster, reader: Path, namespace: str) -> None:
    """Resources of the cluster have no namespace."""
    async with following(reader) as world:
        await until(lambda: world.synced, what="the first listing")
        await asyncio.to_thread(cluster.apply, ingress_class(f"class-{namespace}"))
        ref = Ref(Kind.INGRESS_CLASS, "", f"class-{namespace}")
        await until(lambda: ref in world.objects, what="the class")
        await _kubectl(cluster, "delete", "ingressclass", ref.name)
        await until(lambda: ref not in world.objects, what="its deletion")
