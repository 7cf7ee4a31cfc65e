"""What is known of one resource: its objects, and which of them could not be decoded. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec
from msgspec import structs

from nodegate.model.changes import Delete, ObjectChange, Upsert
from nodegate.model.generated_service import MANAGER
from nodegate.model.objects import Ingress, Object
from nodegate.model.problem import Problem
from nodegate.model.refs import Ref
from nodegate.source import codes
from nodegate.source.decode import decode_json
from nodegate.source.kubernetes.resources import Resource
from nodegate.source.kubernetes.stream import manages, read_head


@dataclass(frozen=True, slots=True)
class Found:
    """One object as it came. ``object`` is None when it does not fit the model, and ``fault`` says why."""

    ref: Ref
    version: str
    object: Object | None
    fault: str = ""


def find(resource: Resource, raw: msgspec.Raw) -> Found:
    """Decode an object as far as it can be; raises msgspec.DecodeError when it is no object at all.

    Its version is taken out of it, so that an object that did not change in what nodegate reads is equal to itself.
    """
    try:
        decoded = decode_json(raw, resource.type)
    except msgspec.ValidationError as error:
        head = read_head(raw)
        ref = Ref(resource.kind, head.metadata.namespace, head.metadata.name)
        return Found(ref, head.version, None, str(error))
    version = decoded.metadata.resource_version
    metadata = structs.replace(decoded.metadata, resource_version="")
    if isinstance(decoded, Ingress) and decoded.status.load_balancer.ingress:
        decoded = structs.replace(decoded, status_is_ours=manages(MANAGER, "status", raw))
    return Found(decoded.ref, version, structs.replace(decoded, metadata=metadata))


class Replica:
    """The objects of one resource, as the API server last told them.

    An object that does not decode keeps its last good version and has a Problem (DESIGN 2, quarantine).
    """

    def __init__(self) -> None:
        self.objects: dict[Ref, Object] = {}
        self.broken: dict[Ref, Problem] = {}

    def put(self, found: Found) -> tuple[ObjectChange, ...]:
        """An object exists with this content; return what that changes, if it does."""
        if found.object is None:
            self.broken[found.ref] = self._problem(found)
            return ()
        self.broken.pop(found.ref, None)
        if self.objects.get(found.ref) == found.object:
            return ()
        self.objects[found.ref] = found.object
        return (Upsert(found.object),)

    def remove(self, ref: Ref) -> tuple[ObjectChange, ...]:
        """An object is gone; return what that changes, if it was known."""
        self.broken.pop(ref, None)
        return (Delete(ref),) if self.objects.pop(ref, None) is not None else ()

    def replace(self, listing: Mapping[Ref, Found]) -> tuple[ObjectChange, ...]:
        """These are all objects there are; return what changed, and which went away, since they were last told."""
        put = [change for found in listing.values() for change in self.put(found)]
        gone = [ref for ref in (*self.objects, *self.broken) if ref not in listing]
        return (*put, *(change for ref in gone for change in self.remove(ref)))

    def _problem(self, found: Found) -> Problem:
        kept = " Its last good version stays in use." if found.ref in self.objects else ""
        message = f"The object as the API server sent it cannot be read: {found.fault}.{kept}"
        return codes.INVALID_TYPE.found(found.ref, "", message)
