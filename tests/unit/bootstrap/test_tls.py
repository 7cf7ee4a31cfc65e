"""Envoy and the control plane find each other over mutual TLS with what the two commands print and take."""

from __future__ import annotations

from pathlib import Path

import pytest

from nodegate.app.control_plane import control_plane
from nodegate.bootstrap import BootstrapSettings, XdsTls, bootstrap
from nodegate.demo.envoy_binary import ENVIRONMENT, cached_envoy
from nodegate.demo.envoy_process import running_envoy
from nodegate.settings import ServeSettings, TcpAddress, XdsSecurity
from tests.certificates import Authority
from tests.e2e.rig.addresses import free_port
from tests.unit.debug.plane import ANY_PORT, SHOP


@pytest.mark.slow
async def test_envoy_is_served_over_mutual_tls(tmp_path: Path) -> None:
    """The certificate's name is the node's, so this Envoy may have private keys (DESIGN 3.8)."""
    binary = cached_envoy()
    if binary is None:
        pytest.skip(f"no Envoy: run `python -m nodegate.demo.envoy_binary` to install one, or set {ENVIRONMENT}")
    (tmp_path / "manifests").mkdir()
    (tmp_path / "manifests" / "shop.yaml").write_text(SHOP)
    authority = Authority()
    ca = tmp_path / "ca.crt"
    ca.write_bytes(authority.pem)
    certificate, key = authority.sign("nodegate.test").write(tmp_path, "server")
    own, own_key = authority.sign("n1").write(tmp_path, "n1")
    settings = ServeSettings(
        source=tmp_path / "manifests",
        xds_address=ANY_PORT,
        http_address=ANY_PORT,
        debug_address=ANY_PORT,
        xds_security=XdsSecurity(certificate=certificate, key=key, client_ca=ca),
    )
    async with control_plane(settings) as running:
        envoy = BootstrapSettings(
            xds_address=running.xds_address,
            node_name="n1",
            admin_address=TcpAddress("127.0.0.1", free_port()),
            tls=XdsTls(ca=str(ca), server_name="nodegate.test", certificate=str(own), key=str(own_key)),
        )
        async with running_envoy(binary, bootstrap(envoy)) as process:
            await process.wait_for_listener()
            (client,) = running.clients.snapshot()
            assert client.node_id == "n1"
