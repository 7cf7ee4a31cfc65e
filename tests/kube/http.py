"""Plain requests to a test cluster, for the bytes of its answers."""

from __future__ import annotations

import http.client
import ssl
from types import TracebackType
from typing import Self

from tests.kube.cluster import Cluster
from tests.kube.pki import KeyFiles

TIMEOUT = 30.0


def ask(cluster: Cluster, path: str, keys: KeyFiles | None = None, token: str = "") -> bytes:
    """Return the body of the answer, whatever its status; as the administrator, or with these keys or token."""
    with Watch(cluster, path, keys, token) as answer:
        return answer.rest()


class Watch:
    """One request whose answer is read as it comes."""

    def __init__(self, cluster: Cluster, path: str, keys: KeyFiles | None = None, token: str = "") -> None:
        context = ssl.create_default_context(cafile=str(cluster.pki.authority))
        if not token:
            chosen = keys or cluster.admin
            context.load_cert_chain(chosen.certificate, chosen.key)
        self._connection = http.client.HTTPSConnection(cluster.address, 6443, context=context, timeout=TIMEOUT)
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._connection.request("GET", path, headers=headers)
        self._answer = self._connection.getresponse()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    @property
    def status(self) -> int:
        """The status of the answer."""
        return self._answer.status

    def rest(self) -> bytes:
        """Return everything up to the end of the answer."""
        return self._answer.read()
