"""Requests that write to a cluster: a few at a time, and told in the log when they fail."""

from __future__ import annotations

from asyncio import Semaphore
from collections.abc import Mapping
from typing import Any, Protocol

import msgspec
import structlog

from nodegate.errors import ClusterError
from nodegate.model.generated_service import MANAGER
from nodegate.model.refs import Kind, Ref

log = structlog.get_logger(__name__)

AT_ONCE = 8
"""Requests under way together: 2,000 Ingresses are written in seconds, and the API server is not flooded."""

PATHS = {
    Kind.INGRESS: "/apis/networking.k8s.io/v1/namespaces/{namespace}/ingresses/{name}",
    Kind.SERVICE: "/api/v1/namespaces/{namespace}/services/{name}",
    Kind.ENDPOINT_SLICE: "/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices/{name}",
}
_APPLY = "application/apply-patch+yaml"
_JSON = "application/json"
_NOT_FOUND, _CONFLICT = 404, 409


class Cluster(Protocol):
    """Where requests go."""

    async def send(self, method: str, path: str, query: Mapping[str, str], body: bytes, content_type: str) -> bytes:
        """Send a request; raises ClusterError for any answer but success, and when none comes."""


class Requests:
    """Server-side apply and delete. Both return False when the request is to be repeated."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._limit = Semaphore(AT_ONCE)

    async def apply(self, ref: Ref, body: Mapping[str, Any], *, force: bool = True, subresource: str = "") -> bool:
        """Say what an object has to hold; without ``force``, nothing that somebody else says is overruled."""
        query = {"fieldManager": MANAGER, "force": "true" if force else "false"}
        return await self._send("PATCH", ref, query, body, _APPLY, subresource)

    async def delete(self, ref: Ref, uid: str) -> bool:
        """Delete an object, unless another one has its name by now."""
        return await self._send("DELETE", ref, {}, {"preconditions": {"uid": uid}}, _JSON)

    async def _send(
        self, method: str, ref: Ref, query: Mapping[str, str], body: Mapping[str, Any], kind: str, subresource: str = ""
    ) -> bool:
        path = PATHS[ref.kind].format(namespace=ref.namespace, name=ref.name)
        path += f"/{subresource}" if subresource else ""
        what = f"{ref} {subresource}".rstrip()
        async with self._limit:
            try:
                await self._cluster.send(method, path, query, msgspec.json.encode(body), kind)
            except ClusterError as error:
                settled = error.status in {_NOT_FOUND, _CONFLICT}  # gone, or somebody's: the watch will say which
                text = "%s of %s was refused: %s" if settled else "%s of %s failed and will be repeated: %s"
                log.warning(text, method, what, error)
                return settled
        log.info("Written." if method == "PATCH" else "Deleted.", object=what)
        return True
