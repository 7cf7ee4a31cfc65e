"""TLS, mutual TLS, and who may be sent private keys."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from pathlib import Path

import grpc
import pytest

from nodegate.errors import TransportError
from nodegate.server import ServerOptions, TlsFiles
from nodegate.server.security import ReloadingCredentials, is_local, may_have_secrets, names_node
from nodegate.snapshot.facts import NodeFacts
from nodegate.snapshot.type_urls import CLUSTER
from tests.certificates import Authority
from tests.transport.client import channel_to, resource, stream, target
from tests.transport.conftest import Serve

ONE_CLUSTER = target(resource(CLUSTER, "c1"))


async def _greeting(address: str, credentials: grpc.ChannelCredentials) -> str:
    """Return the name of the one cluster that a client with these credentials is sent."""
    async with channel_to(address, credentials) as channel:
        call = stream(channel)
        await call.send(CLUSTER, node="node-1")
        return str((await call.receive()).resources[0].name)


def _tls(folder: Path, authority: Authority, *, client_ca: Authority | None = None) -> TlsFiles:
    certificate, key = authority.sign("xds.test").write(folder, "server")
    ca = None
    if client_ca is not None:
        ca = folder / "client-ca.crt"
        ca.write_bytes(client_ca.pem)
    return TlsFiles(certificate, key, ca)


async def test_a_tls_server_serves_clients_that_trust_it(serve: Serve, tmp_path: Path) -> None:
    """With a certificate the endpoint speaks TLS, and a plain client gets nothing."""
    authority = Authority()
    async with serve(ONE_CLUSTER, ServerOptions(tls=_tls(tmp_path, authority), drain_seconds=0.1)) as running:
        assert await _greeting(running.address, grpc.ssl_channel_credentials(authority.pem)) == "c1"
        with pytest.raises(grpc.aio.AioRpcError):
            async with channel_to(running.address) as channel:
                await channel.stream_stream("/x/y")().read()


async def test_with_a_client_authority_only_its_clients_get_in(serve: Serve, tmp_path: Path) -> None:
    """Mutual TLS: no certificate, or one of a stranger, is refused in the handshake."""
    authority, stranger = Authority(), Authority("stranger")
    options = ServerOptions(tls=_tls(tmp_path, authority, client_ca=authority), drain_seconds=0.1)
    ours, theirs = authority.sign("node-1"), stranger.sign("node-1")
    async with serve(ONE_CLUSTER, options) as running:
        good = grpc.ssl_channel_credentials(authority.pem, ours.key, ours.certificate)
        assert await _greeting(running.address, good) == "c1"
        for bad in (
            grpc.ssl_channel_credentials(authority.pem),
            grpc.ssl_channel_credentials(authority.pem, theirs.key, theirs.certificate),
        ):
            with pytest.raises((grpc.aio.AioRpcError, asyncio.InvalidStateError)):
                await _greeting(running.address, bad)


async def test_a_renewed_certificate_is_used_without_a_restart(serve: Serve, tmp_path: Path) -> None:
    """After the files changed, a client that trusts only the new authority gets in; the open stream goes on."""
    old, new = Authority("old"), Authority("new")
    async with (
        serve(ONE_CLUSTER, ServerOptions(tls=_tls(tmp_path, old), drain_seconds=0.1)) as running,
        channel_to(running.address, grpc.ssl_channel_credentials(old.pem)) as channel,
    ):
        before = stream(channel)
        await before.send(CLUSTER, node="node-1")
        first = await before.receive()
        _tls(tmp_path, new)
        assert await _greeting(running.address, grpc.ssl_channel_credentials(new.pem)) == "c1"
        await before.send(CLUSTER, response_nonce=first.nonce, resource_names_subscribe=["c1"])
        assert (await before.receive()).resources[0].name == "c1"


async def test_a_broken_renewal_keeps_the_last_good_certificate(serve: Serve, tmp_path: Path) -> None:
    """A half-written key is not the end of TLS: what worked goes on working."""
    authority = Authority()
    files = _tls(tmp_path, authority)
    async with serve(ONE_CLUSTER, ServerOptions(tls=files, drain_seconds=0.1)) as running:
        files.key.write_bytes(b"half a key")
        assert await _greeting(running.address, grpc.ssl_channel_credentials(authority.pem)) == "c1"


@pytest.mark.parametrize(
    ("certificate", "key", "complaint"),
    [
        (b"nonsense", None, "is not a PEM certificate"),
        (None, b"nonsense", "is not an unencrypted PEM private key"),
        (None, Authority().sign("other").key, "does not belong to the certificate"),
    ],
    ids=["a certificate that is none", "a key that is none", "the key of another certificate"],
)
def test_wrong_tls_files_are_refused_with_a_sentence(
    tmp_path: Path, certificate: bytes | None, key: bytes | None, complaint: str
) -> None:
    """The error names the file and the remedy, and shows no key material."""
    files = _tls(tmp_path, Authority())
    if certificate is not None:
        files.certificate.write_bytes(certificate)
    if key is not None:
        files.key.write_bytes(key)
    with pytest.raises(TransportError, match=complaint) as error:
        ReloadingCredentials(files)
    assert "BEGIN" not in str(error.value)


def test_a_missing_tls_file_is_named(tmp_path: Path) -> None:
    """The path that cannot be read is in the message."""
    with pytest.raises(TransportError, match=r"no\.crt cannot be read: No such file"):
        ReloadingCredentials(TlsFiles(tmp_path / "no.crt", tmp_path / "no.key"))


@pytest.mark.parametrize(
    ("peer", "local"),
    [
        ("unix:", True),
        ("unix:/run/xds.sock", True),
        ("ipv4:127.0.0.1:4711", True),
        ("ipv4:127.8.9.1:4711", True),
        ("ipv6:%5B::1%5D:4711", True),
        ("ipv6:[::1]:4711", True),
        ("ipv4:10.0.0.1:4711", False),
        ("ipv6:%5B2001:db8::1%5D:4711", False),
        ("ipv6:%5B::ffff:10.0.0.1%5D:4711", False),
        ("", False),
        ("localhost:1", False),
    ],
)
def test_only_a_unix_socket_or_a_loopback_address_is_local(peer: str, *, local: bool) -> None:
    """What gRPC says about the peer decides, and what it does not say is not local (DESIGN 3.8)."""
    assert is_local(peer) is local


@pytest.mark.parametrize(
    ("san", "node", "proved"),
    [
        (b"node-1", "node-1", True),
        (b"spiffe://cluster/nodegate/node-1", "node-1", True),
        (b"node-2", "node-1", False),
        (b"node-1.evil", "node-1", False),
        (b"spiffe://cluster/node-1/other", "node-1", False),
        (b"", "", False),
    ],
)
def test_a_certificate_proves_the_node_that_its_alternative_name_says(san: bytes, node: str, *, proved: bool) -> None:
    """A DNS name counts as it is, a URI by its last segment, and no name proves nothing."""
    assert names_node({"x509_subject_alternative_name": [san]}, NodeFacts(node=node), "") is proved


def test_a_remote_client_without_a_certificate_may_not_have_secrets() -> None:
    """Plain text and server-only TLS from another machine carry no private keys (DESIGN 3.8)."""
    assert not may_have_secrets("ipv4:10.0.0.1:1", {}, NodeFacts(node="node-1"), "node-1")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to make a network namespace with an address of its own")
@pytest.mark.skipif(shutil.which("ip") is None, reason="needs `ip` (Debian package iproute2)")
def test_private_keys_reach_a_remote_client_only_over_mtls_with_its_own_name(tmp_path: Path) -> None:
    """In a namespace with an address that is not loopback, each kind of client is tried (DESIGN 3.8)."""
    namespace = f"ng-tls-{os.getpid()}"
    subprocess.run(["ip", "netns", "add", namespace], check=True)
    try:
        for command in (["addr", "add", "10.99.0.1/32", "dev", "lo"], ["link", "set", "lo", "up"]):
            subprocess.run(["ip", "-n", namespace, *command], check=True)
        probe = [sys.executable, "-m", "tests.transport.secrets_probe", "10.99.0.1", str(tmp_path)]
        done = subprocess.run(
            ["ip", "netns", "exec", namespace, *probe], check=False, capture_output=True, text=True, timeout=60
        )
    finally:
        subprocess.run(["ip", "netns", "del", namespace], check=True)
    assert done.stdout.splitlines() == [
        "plain: no secret",
        "tls: no secret",
        "mtls as another node: no secret",
        "mtls as itself: secret",
        "plain with --insecure-xds: secret",
    ], done.stderr
