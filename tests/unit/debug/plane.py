"""A whole control plane in this process, on a folder of manifests, and proxies that connect to it."""

from __future__ import annotations

import asyncio
from asyncio import TaskGroup
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import grpc.aio
from envoy.service.discovery.v3.discovery_pb2 import DeltaDiscoveryRequest, DeltaDiscoveryResponse

from nodegate.app.control_plane import ControlPlane, control_plane
from nodegate.bootstrap import NODE_KEY
from nodegate.server.protocol.decode import ROLE_KEY
from nodegate.server.protocol.request import AGENT
from nodegate.settings import ServeSettings, TcpAddress
from nodegate.snapshot.type_urls import CLUSTER, ENDPOINT, LISTENER, REDIRECT, ROUTE

METHOD = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"
ANY_PORT = TcpAddress("127.0.0.1", 0)
SECRET_WORD = "c2VjcmV0LXNhdWNl"

SHOP = """
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web, namespace: shop}
spec:
  ingressClassName: nodegate
  rules: [{http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}]}}]
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {clusterIP: 10.0.0.1, ports: [{port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, namespace: shop, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
endpoints: [{addresses: [10.1.0.1]}]
ports: [{name: "", port: 8080, protocol: TCP}]
---
apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata: {name: nodegate}
spec: {controller: nodegate.dev/ingress-controller}
"""

DOOR = """
apiVersion: v1
kind: Service
metadata: {name: nodegate-web, namespace: shop, annotations: {nodegate.dev/ingress: web}}
spec: {type: LoadBalancer, clusterIP: 10.0.0.9, ports: [{name: http, port: 80, nodePort: 30080}]}
"""

BROKEN = """
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: broken, namespace: shop}
spec:
  ingressClassName: nodegate
  rules: [{host: "<b>bold</b>", http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}]}}]
"""  # noqa: E501  # one line of YAML

TLS_SECRET = f"""
apiVersion: v1
kind: Secret
metadata: {{name: keys, namespace: shop}}
type: kubernetes.io/tls
data: {{tls.crt: {SECRET_WORD}, tls.key: {SECRET_WORD}}}
"""


class Plane:
    """A running control plane, and a browser for it."""

    def __init__(self, running: ControlPlane, http: aiohttp.ClientSession) -> None:
        self.running = running
        self._http = http

    async def page(self, path: str, **headers: str) -> tuple[int, str, Mapping[str, str]]:
        """Return status, text and headers of a page of the debug address."""
        async with self._http.get(f"http://{self.running.debug_address}{path}", headers=headers) as answer:
            return answer.status, await answer.text(), answer.headers

    async def json(self, path: str) -> Any:
        """Return a page of the debug address as a program gets it."""
        query = "&" if "?" in path else "?"
        async with self._http.get(f"http://{self.running.debug_address}{path}{query}format=json") as answer:
            return await answer.json()

    async def probe(self, path: str) -> tuple[int, str]:
        """Return status and text of a page of the probes' address."""
        async with self._http.get(f"http://{self.running.http_address}{path}") as answer:
            return answer.status, await answer.text()

    async def until(self, path: str, condition: Any) -> Any:
        """Ask for a page until its JSON fulfils a condition; return it. The test's own timeout ends a vain wait."""
        while not condition(data := await self.json(path)):  # noqa: ASYNC110  # the page itself is what is waited for
            await asyncio.sleep(0.01)
        return data


@asynccontextmanager
async def plane(folder: Path, state_dir: Path | None = None) -> AsyncIterator[Plane]:
    """Run a control plane that has read its folder."""
    settings = ServeSettings(
        source=folder, state_dir=state_dir, xds_address=ANY_PORT, http_address=ANY_PORT, debug_address=ANY_PORT
    )
    async with aiohttp.ClientSession() as http, control_plane(settings) as running:
        await running.engine.until(lambda state: state.synced)
        yield Plane(running, http)


PROXY_TYPES, AGENT_TYPES = (CLUSTER, ENDPOINT, LISTENER, ROUTE), (REDIRECT,)


@asynccontextmanager
async def proxy(
    running: ControlPlane,
    node: str,
    rejects: Mapping[str, str] | None = None,
    types: tuple[str, ...] = PROXY_TYPES,
) -> AsyncIterator[None]:
    """Connect a proxy that takes everything but the resources in ``rejects`` (name without port -> its words).

    One that takes ``AGENT_TYPES`` is a redirect agent.
    """
    async with grpc.aio.insecure_channel(str(running.xds_address)) as channel, TaskGroup() as tasks:
        call = channel.stream_stream(
            METHOD,
            request_serializer=DeltaDiscoveryRequest.SerializeToString,
            response_deserializer=DeltaDiscoveryResponse.FromString,
        )()
        answering = tasks.create_task(_answer(call, node, types, {} if rejects is None else rejects))
        yield
        answering.cancel()


async def _answer(call: Any, node: str, types: tuple[str, ...], rejects: Mapping[str, str]) -> None:
    for type_url in types:
        request = DeltaDiscoveryRequest(type_url=type_url, resource_names_subscribe=["*"])
        request.node.id = node
        request.node.metadata[NODE_KEY] = node
        if types is AGENT_TYPES:
            request.node.metadata[ROLE_KEY] = AGENT
        await call.write(request)
    async for response in call:
        answer = DeltaDiscoveryRequest(type_url=response.type_url, response_nonce=response.nonce)
        for resource in response.resources:
            words = rejects.get(resource.name.partition("@")[0])
            if words:
                answer.error_detail.code, answer.error_detail.message = 13, f"{resource.name}: {words}"
        await call.write(answer)
