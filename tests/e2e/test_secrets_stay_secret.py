"""Private keys go to Envoy and nowhere else: every place where people and tools look is searched (DESIGN 3.8)."""

from __future__ import annotations

import base64
import subprocess
from collections.abc import Iterator

import grpc
import pytest
from envoy.service.status.v3 import csds_pb2, csds_pb2_grpc

from tests.certificates import pair
from tests.e2e.ingress.test_tls_live import open_when_ready, secret, secured
from tests.e2e.rig.processes import python
from tests.e2e.rig.site import Site


def marks(key: bytes) -> set[str]:
    """Return what would give the key away: its lines as they are, and in base64 at each of the three offsets."""
    lines = [line for line in key.decode().splitlines() if line and "-----" not in line]
    hidden = {base64.b64encode(key[offset:])[8:56].decode() for offset in range(3)}
    return {*lines, *hidden, key.hex()[64:128]}


def places(site: Site) -> Iterator[tuple[str, str]]:
    """Yield everything that a person or a tool can read, with where it was read."""
    yield "the log", site.server.log()
    yield "/metrics", site.server.metrics()
    yield from site.server.debug_pages().items()
    yield "CSDS", _csds(site)
    for command in ("translate", "lint"):
        done = subprocess.run(
            python("nodegate", command, str(site.manifests.path)), capture_output=True, text=True, check=False
        )
        yield f"nodegate {command}", done.stdout + done.stderr


def _csds(site: Site) -> str:
    with grpc.insecure_channel(site.server.xds_address) as channel:
        stub = csds_pb2_grpc.ClientStatusDiscoveryServiceStub(channel)
        answer = stub.FetchClientStatus(csds_pb2.ClientStatusRequest())
    assert [config.node.id for config in answer.config]
    return str(answer) + str(answer.SerializeToString())


@pytest.mark.timeout(120)
@pytest.mark.parametrize("variant", ["delta"], indirect=True)
def test_a_private_key_is_found_nowhere_but_in_envoy(shop: Site) -> None:
    """Neither a good key, nor a key of another certificate, nor a broken one that has to be complained about."""
    good, other, broken = pair("a.example"), pair("b.example"), pair("c.example")
    keys = [one.data["tls.key"] for one in (good, other, broken)]
    shop.manifests.put(secret(shop, "a", good), secured(shop, a="a", b="b", c="c"))
    connection = open_when_ready(shop, "a.example", good.serial)
    assert connection.get() == "blue"
    connection.close()

    mismatched = secret(shop, "b", other)
    mismatched["data"]["tls.crt"] = base64.b64encode(good.data["tls.crt"]).decode()
    damaged = secret(shop, "c", broken)
    damaged["data"]["tls.key"] = base64.b64encode(broken.data["tls.key"][:-60]).decode()
    shop.manifests.put(mismatched, damaged)
    undecodable = shop.manifests.path / "undecodable.yaml"
    undecodable.write_text(
        "apiVersion: v1\nkind: Secret\nmetadata: {name: d}\ntype: kubernetes.io/tls\n"
        f"data: {{tls.crt: 5, tls.key: [{base64.b64encode(broken.data['tls.key']).decode()}]}}\n"
    )

    def complained() -> bool:
        told = str(shop.server.debug("problems"))
        return all(f"'{name}'" in told or f"/{name}" in told for name in ("b", "c", "undecodable.yaml"))

    shop.envoy.wait_until(complained, what="the problems of the wrong Secrets")
    searched = dict(places(shop))
    shown = [path for path in searched if path.startswith("/debug/resources/secret/")]
    assert shown, "the pages of the Secrets were not among what was searched"
    assert all("private_key" in searched[path] for path in shown)
    found = [(where, mark) for where, text in searched.items() for key in keys for mark in marks(key) if mark in text]
    assert not found, f"key material in {sorted({where for where, _ in found})}"
