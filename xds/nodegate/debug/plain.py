"""Values of the control plane as plain ones for JSON, with everything secret replaced."""

from __future__ import annotations

from typing import Any

import msgspec
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import Message
from udpa.annotations import sensitive_pb2

from nodegate.model.objects import Object, Secret
from nodegate.model.problem import Problem
from nodegate.snapshot.resource import Resource
from nodegate.translate.render import MESSAGE_OF, as_plain, message_of

REDACTED = "[redacted]"


def plain_problem(problem: Problem) -> dict[str, str]:
    """Return a problem as flat text values."""
    return {
        "severity": problem.severity.value,
        "code": problem.code,
        "kind": problem.ref.kind.value,
        "namespace": problem.ref.namespace,
        "name": problem.ref.name,
        "field": problem.field,
        "message": problem.message,
        "remedy": problem.remedy,
        "location": problem.location,
    }


def plain_object(value: Object) -> dict[str, Any]:
    """Return an object as its manifest, reduced to the fields nodegate reads; of a Secret only the keys are shown."""
    kind = {"kind": value.ref.kind.value}
    if isinstance(value, Secret):
        metadata = msgspec.to_builtins(value.metadata)
        return {**kind, "metadata": metadata, "type": value.type, "data": dict.fromkeys(sorted(value.data), REDACTED)}
    return {**kind, **msgspec.to_builtins(value)}


def plain_resource(resource: Resource) -> dict[str, Any]:
    """Return a resource with Envoy's field names, and ``[redacted]`` where the API marks a field as sensitive."""
    if resource.type_url not in MESSAGE_OF:
        return {"size": len(resource.body)}
    message = message_of(resource)
    redact(message)
    return as_plain(message)


def redact(message: Message) -> None:
    """Replace the value of every field that the Envoy API marks as sensitive, at any depth."""
    for field, value in message.ListFields():
        if field.GetOptions().Extensions[sensitive_pb2.sensitive]:
            _replace(message, field, value)
        elif isinstance(value, AnyMessage):
            _redact_packed(value)
        elif field.message_type is not None:
            for part in _parts(field, value):
                redact(part)


def _parts(field: Any, value: Any) -> list[Message]:
    if field.message_type.GetOptions().map_entry:
        return [part for part in value.values() if isinstance(part, Message)]
    return list(value) if field.is_repeated else [value]


def _replace(message: Message, field: Any, value: Any) -> None:
    """Put the mark into a sensitive field; of a DataSource the inline content is secret, not the file name."""
    if field.message_type is None:
        message.ClearField(field.name)
        mark = REDACTED.encode() if field.type == field.TYPE_BYTES else REDACTED
        if field.is_repeated:
            getattr(message, field.name).append(mark)
        else:
            setattr(message, field.name, mark)
        return
    for part in _parts(field, value):
        if isinstance(part, AnyMessage):
            part.Clear()
            continue
        for inner, content in part.ListFields():
            if inner.message_type is not None or inner.name != "filename":
                _replace(part, inner, content)


def _redact_packed(packed: AnyMessage) -> None:
    message = _unpacked(packed)
    if message is not None:
        redact(message)
        packed.value = message.SerializeToString(deterministic=True)


def _unpacked(packed: AnyMessage) -> Message | None:
    try:
        descriptor = descriptor_pool.Default().FindMessageTypeByName(packed.TypeName())
    except KeyError:
        return None
    message = message_factory.GetMessageClass(descriptor)()
    return message if packed.Unpack(message) else None
