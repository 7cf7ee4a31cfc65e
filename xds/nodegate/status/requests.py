"""Requests that write to a cluster, counted, and told in the log when they fail."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from typing import Any, Protocol

import msgspec
import structlog

from nodegate.errors import ClusterError
from nodegate.model.generated_service import MANAGER
from nodegate.model.refs import Kind, Ref

log = structlog.get_logger(__name__)

ANSWER_SECONDS = 15.0
"""A request that is not answered in this time has failed."""

PATHS = {
    Kind.INGRESS: "/apis/networking.k8s.io/v1/namespaces/{namespace}/ingresses/{name}",
    Kind.SERVICE: "/api/v1/namespaces/{namespace}/services/{name}",
    Kind.ENDPOINT_SLICE: "/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices/{name}",
}
_APPLY = "application/apply-patch+yaml"
JSON = "application/json"
FORBIDDEN, NOT_FOUND, CONFLICT = 403, 404, 409


class Cluster(Protocol):
    """Where requests go."""

    async def send(self, method: str, path: str, query: Mapping[str, str], body: bytes, content_type: str) -> bytes:
        """Send a request; raises ClusterError for any answer but success, and when none comes."""


class Requests:
    """Server-side apply and delete. Both return False when the request is to be repeated.

    ``sent`` counts requests by what they were about (``services``, ``ingresses/status``) and by method, ``failed`` also
    by the answer's status, 0 when there was none.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self.sent: Counter[tuple[str, str]] = Counter()
        self.failed: Counter[tuple[str, str, int]] = Counter()

    async def apply(self, ref: Ref, body: Mapping[str, Any], *, force: bool = True, subresource: str = "") -> bool:
        """Say what an object has to hold; without ``force``, nothing that somebody else says is overruled."""
        query = {"fieldManager": MANAGER, "force": "true" if force else "false"}
        path = _path(ref) + (f"/{subresource}" if subresource else "")
        gone = {NOT_FOUND} if subresource else set()  # without one it is the namespace that is missing
        return await self._settle("PATCH", path, query, body, _APPLY, gone | {CONFLICT})

    async def delete(self, ref: Ref, uid: str) -> bool:
        """Delete an object, unless another one has its name by now."""
        return await self._settle(
            "DELETE", _path(ref), {}, {"preconditions": {"uid": uid}}, JSON, {NOT_FOUND, CONFLICT}
        )

    async def send(self, method: str, path: str, query: Mapping[str, str], body: Any = None, kind: str = JSON) -> bytes:
        """Send one request and return the answer; raises ClusterError for any answer but success."""
        what = resource_of(path)
        content = msgspec.json.encode(body) if body is not None else b""
        self.sent[what, method] += 1
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await self._cluster.send(method, path, query, content, kind)
        except ClusterError as error:
            self.failed[what, method, error.status] += 1
            raise
        except TimeoutError as error:
            self.failed[what, method, 0] += 1
            raise ClusterError(f"No answer within {ANSWER_SECONDS:g} seconds.") from error

    async def _settle(
        self, method: str, path: str, query: Mapping[str, str], body: Mapping[str, Any], kind: str, settled: set[int]
    ) -> bool:
        """Send a request; statuses that are ``settled`` need no repetition: the watch will say what is there."""
        try:
            await self.send(method, path, query, body, kind)
        except ClusterError as error:
            over = error.status in settled
            text = "%s of %s was refused: %s" if over else "%s of %s failed and will be repeated: %s"
            log.warning(text, method, path, error)
            return over
        log.info("Written." if method == "PATCH" else "Deleted.", path=path)
        return True


def resource_of(path: str) -> str:
    """Return what a path is about: ``services``, ``ingresses/status``."""
    words = path.split("/namespaces/", 1)[-1].split("/")[1:]
    return "/".join((words[0], *words[2:])) if words else path


def _path(ref: Ref) -> str:
    return PATHS[ref.kind].format(namespace=ref.namespace, name=ref.name)
