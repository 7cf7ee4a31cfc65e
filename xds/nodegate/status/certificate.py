"""One certificate of our own for all replicas, in a Secret: the same versions everywhere, whoever is asked.

It serves TLS clients on shared listeners for whose host no Ingress has a certificate. Every replica could make one up,
but then a proxy that moves to another replica would be sent another one. The replica that leads makes the Secret once;
it is never changed, and one that somebody else made there is used as it is.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterable

import structlog

from nodegate.errors import ClusterError
from nodegate.model.changes import Delete, ObjectChange
from nodegate.model.generated_service import MANAGED_BY_LABEL, MANAGER
from nodegate.model.refs import Kind, Ref
from nodegate.status.requests import CONFLICT, Requests
from nodegate.status.work import Work

log = structlog.get_logger(__name__)

NAME = "nodegate-own-certificate"


class CertificateWriter:
    """Makes the Secret (namespace and name: ``place``) when there is none. ``pair`` are a certificate and its key."""

    def __init__(
        self, requests: Requests, place: tuple[str, str], pair: tuple[bytes, bytes], leads: Callable[[], bool]
    ) -> None:
        self.work: Work[Ref] = Work(self._do)
        self._requests = requests
        self._ref = Ref(Kind.SECRET, *place)
        self._pair = pair
        self._leads = leads
        self._exists = False

    def observe(self, changes: Iterable[ObjectChange]) -> None:
        """Note whether the Secret exists."""
        for change in changes:
            if change.ref == self._ref:
                self._exists = not isinstance(change, Delete)
                self.look_at_all()

    def look_at_all(self) -> None:
        """Everything is known now, or this replica leads from now on."""
        self.work.add([self._ref])

    async def _do(self, ref: Ref) -> bool:
        if self._exists or not self._leads():
            return True
        certificate, key = (b64encode(one).decode() for one in self._pair)
        body = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"namespace": ref.namespace, "name": ref.name, "labels": {MANAGED_BY_LABEL: MANAGER}},
            "type": "kubernetes.io/tls",
            "data": {"tls.crt": certificate, "tls.key": key},
        }
        try:
            await self._requests.send("POST", f"/api/v1/namespaces/{ref.namespace}/secrets", {}, body)
        except ClusterError as error:
            if error.status != CONFLICT:
                log.warning("%s could not be made and will be tried again: %s", ref, error)
            return error.status == CONFLICT
        return True
