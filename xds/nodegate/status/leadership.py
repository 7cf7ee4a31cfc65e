"""Takes part in the election of the replica that leads, by a Lease in the cluster (``coordination.k8s.io/v1``)."""

from __future__ import annotations

import asyncio
from asyncio import get_running_loop
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
import structlog

from nodegate.errors import ClusterError
from nodegate.model.problem import Problem
from nodegate.model.refs import Kind, Ref
from nodegate.status.codes import LEASE_UNAVAILABLE
from nodegate.status.election import Election, Record
from nodegate.status.requests import CONFLICT, FORBIDDEN, NOT_FOUND, Requests

log = structlog.get_logger(__name__)

TURNS = 8
"""So many times in a Lease's duration it is renewed, or looked at."""
_RELEASE_SECONDS = 2.0
_OURS_TO_MEND = (FORBIDDEN, NOT_FOUND)
_WAIT = "See whether the API server runs and can be reached from here; nodegate tries again by itself."
_FIELDS = "coordination.k8s.io/v1"


class _Spec(msgspec.Struct, rename="camel"):
    holder_identity: str = ""
    lease_duration_seconds: int = 0
    acquire_time: str = ""
    renew_time: str = ""
    lease_transitions: int = 0


class _Metadata(msgspec.Struct, rename="camel"):
    resource_version: str = ""


class _Lease(msgspec.Struct):
    metadata: _Metadata
    spec: _Spec = msgspec.field(default_factory=_Spec)


class Leadership:
    """Leads while it holds the Lease.

    ``on_change`` is called when this replica begins or ends to lead, ``on_trouble`` when :attr:`problems` change.
    """

    def __init__(self, requests: Requests, place: tuple[str, str], identity: str, seconds: int) -> None:
        """``place`` is the Lease's namespace and name; ``seconds`` is how long it lasts after a renewal."""
        self.election = Election(identity, seconds)
        self.place = place
        self.trouble = ""
        """Why the Lease could not be read or written last time, as a sentence; empty when it could."""
        self._remedy = ""
        self.on_change: Callable[[bool], None] = lambda _: None
        self.on_trouble: Callable[[], None] = lambda: None
        self._requests = requests
        self._path = f"/apis/coordination.k8s.io/v1/namespaces/{place[0]}/leases"
        self._pause = seconds / TURNS
        self._led = False

    @property
    def leads(self) -> bool:
        """Whether this replica may do, at this very moment, what only one may."""
        return self.election.leads(get_running_loop().time())

    @property
    def problems(self) -> dict[Ref, tuple[Problem, ...]]:
        """What is wrong with the Lease, as a problem of the cluster."""
        if not self.trouble:
            return {}
        ref = Ref(Kind.CLUSTER, "", f"Lease {'/'.join(self.place)}")
        return {ref: (LEASE_UNAVAILABLE.found(ref, "", self.trouble, self._remedy),)}

    async def run(self) -> None:
        """Take part until cancelled; then give the Lease back, so that another replica takes over at once."""
        try:
            while True:
                await self._turn()
                self._note()
                await asyncio.sleep(self._pause)
        finally:
            await self._release()
            self._note()

    def _note(self) -> None:
        if self.leads != self._led:
            self._led = self.leads
            log.info("This replica leads." if self._led else "This replica leads no more.", lease="/".join(self.place))
            self.on_change(self._led)

    async def _turn(self) -> None:
        try:
            async with asyncio.timeout(self.election.seconds / 3):
                await self._try()
        except (ClusterError, TimeoutError) as error:
            self._note_trouble(error)
        else:
            self._set_trouble("")

    async def _try(self) -> None:
        if not self.election.knows:
            self.election.seen(await self._read(), get_running_loop().time())
        now = get_running_loop().time()
        record = self.election.next_write(now, _wall())
        if record is None:
            return
        self.election.doubt()  # until it is answered: somebody may be faster, the answer get lost, or this be cancelled
        self.election.written(await self._write(record), now)

    async def _release(self) -> None:
        record = self.election.release(_wall())
        try:
            async with asyncio.timeout(_RELEASE_SECONDS):
                if self.election.in_doubt:  # a renewal was under way, and may have been taken
                    self.election.seen(await self._read(), get_running_loop().time())
                    record = self.election.release(_wall())
                if record is not None:
                    await self._write(record)
        except (ClusterError, TimeoutError) as error:
            reason = str(error) or f"No answer within {_RELEASE_SECONDS:g} seconds."
            log.warning("The Lease could not be given back; it runs out by itself: %s", reason)

    def _note_trouble(self, error: Exception) -> None:
        status = error.status if isinstance(error, ClusterError) else 0
        if status == CONFLICT:
            return  # another replica was faster
        self._remedy = "" if status in _OURS_TO_MEND else _WAIT
        self._set_trouble(f"{'/'.join(self.place)} cannot be read or renewed: {str(error) or 'No answer in time.'}")

    def _set_trouble(self, trouble: str) -> None:
        before, self.trouble = self.trouble, trouble
        if trouble != before:
            self.on_trouble()

    # --- Requests ----------------------------------------------------------------------------------------------------

    async def _read(self) -> Record | None:
        try:
            return _record(await self._requests.send("GET", f"{self._path}/{self.place[1]}", {}))
        except ClusterError as error:
            if error.status == NOT_FOUND:
                return None
            raise

    async def _write(self, record: Record) -> Record:
        if record.version:
            path, method = f"{self._path}/{self.place[1]}", "PUT"
        else:
            path, method = self._path, "POST"
        return _record(await self._requests.send(method, path, {}, self._body(record)))

    def _body(self, record: Record) -> dict[str, Any]:
        metadata = {"namespace": self.place[0], "name": self.place[1]}
        spec = _Spec(record.holder, record.seconds, record.acquired, record.renewed, record.transitions)
        return {
            "apiVersion": _FIELDS,
            "kind": "Lease",
            "metadata": metadata | ({"resourceVersion": record.version} if record.version else {}),
            "spec": msgspec.to_builtins(spec),
        }


def _record(answer: bytes) -> Record:
    try:
        lease = msgspec.json.decode(answer, type=_Lease)
    except msgspec.DecodeError as error:
        raise ClusterError(f"The server sent what is no Lease: {error}.") from error
    spec, version = lease.spec, lease.metadata.resource_version
    return Record(
        spec.holder_identity,
        spec.lease_duration_seconds,
        spec.acquire_time,
        spec.renew_time,
        spec.lease_transitions,
        version,
    )


def _wall() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
