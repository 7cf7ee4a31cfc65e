"""A real Envoy on the other side: what the protocol says about clients, and what this makes of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from nodegate.demo.envoy_binary import ENVIRONMENT, cached_envoy
from nodegate.server import Clients, ClientStatus, ServerOptions, XdsServer
from nodegate.server.protocol.stream import StreamOptions
from nodegate.snapshot.publisher import Publisher
from nodegate.snapshot.type_urls import CLUSTER, ENDPOINT, LISTENER, ROUTE
from tests.e2e.rig.addresses import free_port
from tests.e2e.rig.envoy import Envoy
from tests.protocol.made import cluster, endpoints, put, routes, socket_listener, unknown_cluster

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120), pytest.mark.parametrize("variant", ["delta", "sotw"])]

SOON = 5.0
"""Seconds; Envoy's own patience with a cluster that gets no endpoints is 15."""


@dataclass
class Site:
    """One server in this process and one Envoy that asks it."""

    variant: str
    folder: Path
    publisher: Publisher = field(default_factory=Publisher)
    clients: Clients = field(default_factory=Clients)
    options: ServerOptions = field(default_factory=ServerOptions)
    port: int = 0
    envoy: Any = None

    def put_world(self) -> None:
        """Publish a listener that leads to one cluster."""
        listener = socket_listener("l1", free_port())
        put(self.publisher, listener, routes("a"), cluster("a"), endpoints("a", free_port()))

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Serve on one port, the same each time; Envoy starts with the first."""
        server = XdsServer(self.publisher, self.clients, f"127.0.0.1:{self.port}", options=self.options)
        async with server.serving():
            self.port = server.port
            if self.envoy is None:
                binary = cached_envoy()
                assert binary is not None
                address, log = f"127.0.0.1:{self.port}", self.folder / "envoy.log"
                self.envoy = await asyncio.to_thread(Envoy, binary, address, self.variant, log)
            yield

    @property
    def client(self) -> ClientStatus:
        """How far Envoy is."""
        (status,) = self.clients.snapshot()
        return status

    def in_sync(self, *type_urls: str) -> bool:
        """Return whether Envoy has acknowledged everything of these types."""
        if not self.clients.snapshot():
            return False
        synced = {status.type_url for status in self.client.types if status.synced and status.acked}
        return synced >= set(type_urls)

    async def until(self, look: Callable[[], Any], what: str) -> None:
        """Wait until something is so."""
        for _ in range(int(SOON / 0.05)):
            if await asyncio.to_thread(look):
                return
            await asyncio.sleep(0.05)
        raise AssertionError(f"{what}; {self.clients.snapshot()}")

    async def until_up(self) -> None:
        """Wait until Envoy serves."""
        await self.until(lambda: self.in_sync(CLUSTER, ENDPOINT, LISTENER, ROUTE), "Envoy is not up")


@pytest.fixture
async def site(variant: str, tmp_path: Path) -> AsyncIterator[Site]:
    """Return a site whose Envoy ends with the test."""
    if cached_envoy() is None:
        pytest.skip(f"no Envoy: run `python -m nodegate.demo.envoy_binary` to install one, or set {ENVIRONMENT}")
    one = Site(variant, tmp_path)
    one.put_world()
    yield one
    if one.envoy is not None:
        await asyncio.to_thread(one.envoy.stop)


async def test_envoy_asks_in_the_order_in_which_it_warms(site: Site) -> None:
    """Clusters, their endpoints, then listeners, then routes; nothing stays warming (xds-protocol 41, 40)."""
    async with site.serving():
        await site.until_up()
        (connection,) = site.clients.connections()
        assert list(connection.stream.states) == [CLUSTER, ENDPOINT, LISTENER, ROUTE]
        assert await asyncio.to_thread(site.envoy.warming) == {}


async def test_a_changed_cluster_warms_at_once(site: Site) -> None:
    """Its endpoints follow unasked, so its acknowledgement does not take 15 s (xds-protocol 42, 26)."""
    async with site.serving():
        await site.until_up()
        put(site.publisher, cluster("a", connect_timeout=7), cluster("b"), endpoints("b", free_port()), routes("b"))
        await site.until(lambda: not site.in_sync(CLUSTER) or site.in_sync(CLUSTER, ROUTE), "nothing was sent")
        await site.until(lambda: site.in_sync(CLUSTER, ENDPOINT, ROUTE), "a cluster does not warm")
        await site.until(lambda: site.envoy.warming() == {}, "something is warming")
        assert await asyncio.to_thread(site.envoy.rejected) == {}


@pytest.mark.parametrize("bad", ["unknown", "schema"])
async def test_the_part_that_envoy_rejects_is_found_and_the_rest_arrives(site: Site, bad: str) -> None:
    """By its text where it names the resource, by halving where it does not (xds-protocol 35, 12)."""
    async with site.serving():
        await site.until_up()
        broken = unknown_cluster("broken") if bad == "unknown" else cluster("broken", connect_timeout=-1)
        good = [one for name in ("b", "c", "d") for one in (cluster(name), endpoints(name, free_port()))]
        put(site.publisher, broken, endpoints("broken", free_port()), *good)
        await site.until(lambda: site.envoy.clusters().keys() >= {"a", "b", "c", "d"}, "the good ones do not arrive")
        await site.until(lambda: list(_rejected(site)) == ["broken"], "the bad one is not found")
        put(site.publisher, cluster("broken"))
        await site.until(lambda: "broken" in site.envoy.clusters(), "the mended one does not arrive")
        await site.until(lambda: site.in_sync(CLUSTER), "something is left over")


async def test_envoy_goes_on_alone_and_says_what_it_has_when_it_comes_back(site: Site) -> None:
    """In delta nothing of clusters and listeners is sent again (xds-protocol 46, 37)."""
    async with site.serving():
        await site.until_up()
    assert site.envoy.clusters().keys() == {"a"}
    async with site.serving():
        await site.until_up()
        (connection,) = site.clients.connections()
        assert all(state.resumed for state in connection.stream.states.values())
        assert site.envoy.clusters().keys() == {"a"}
        assert await asyncio.to_thread(site.envoy.rejected) == {}


async def test_envoy_is_kept_alive_by_heartbeats_and_forgets_when_they_end(site: Site) -> None:
    """Over several streams; a state-of-the-world Envoy announces no support, and keeps all (xds-protocol 50)."""
    site.options = ServerOptions(stream=StreamOptions(ttl=2.0))
    for _ in range(2):
        async with site.serving():
            await site.until_up()
            await asyncio.sleep(4.0)
            assert site.envoy.clusters().keys() == {"a"}
            assert await asyncio.to_thread(site.envoy.rejected) == {}
    if site.variant == "delta":
        await site.until(lambda: not site.envoy.clusters(), "the cluster does not expire")
    else:
        await asyncio.sleep(3.0)
        assert site.envoy.clusters().keys() == {"a"}


def _rejected(site: Site) -> dict[str, str]:
    return {name: text for one in site.client.types for name, text in one.rejected.items()}
