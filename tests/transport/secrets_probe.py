"""Run in a namespace of its own: says for each kind of remote client whether it is sent a private key."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import grpc
import structlog

from nodegate.server import Clients, ServerOptions, TlsFiles, XdsServer
from nodegate.snapshot.publisher import Publisher
from nodegate.snapshot.type_urls import CLUSTER, SECRET
from tests.certificates import Authority
from tests.transport.client import channel_to, resource, stream, target


async def probe(title: str, host: str, options: ServerOptions, credentials: grpc.ChannelCredentials | None) -> None:
    """Subscribe to a secret and a cluster; the secret comes first or not at all, for the cluster is sent after it."""
    publisher = Publisher()
    publisher.publish(target(resource(SECRET, "s1"), resource(CLUSTER, "c1")))
    server = XdsServer(publisher, Clients(), f"{host}:0", options=options)
    async with server.serving(), channel_to(f"{host}:{server.port}", credentials) as channel:
        call = stream(channel)
        await call.send(SECRET, node="node-1", resource_names_subscribe=["s1"])
        await call.send(CLUSTER)
        first = (await call.receive()).type_url
        sys.stdout.write(f"{title}: {'secret' if first == SECRET else 'no secret'}\n")


async def main(host: str, folder: Path) -> None:
    """Try every kind of client."""
    authority = Authority()
    ca = folder / "ca.crt"
    ca.write_bytes(authority.pem)
    certificate, key = authority.sign("xds.test").write(folder, "server")
    tls = ServerOptions(tls=TlsFiles(certificate, key), drain_seconds=0.1)
    mutual = ServerOptions(tls=TlsFiles(certificate, key, ca), drain_seconds=0.1)

    def client(name: str) -> grpc.ChannelCredentials:
        pair = authority.sign(name)
        return grpc.ssl_channel_credentials(authority.pem, pair.key, pair.certificate)

    await probe("plain", host, ServerOptions(drain_seconds=0.1), None)
    await probe("tls", host, tls, grpc.ssl_channel_credentials(authority.pem))
    await probe("mtls as another node", host, mutual, client("node-2"))
    await probe("mtls as itself", host, mutual, client("node-1"))
    await probe("plain with --insecure-xds", host, ServerOptions(insecure=True, drain_seconds=0.1), None)


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
