"""Reads Envoy resources with ``envoy-data-plane``, an implementation of the API that shares no code with ours."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Iterator
from typing import Any

from betterproto2 import Message as OtherMessage
from envoy_data_plane.message_pool import default_message_pool
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import Message


def assert_reads_the_same(message: Message) -> None:
    """Assert that the other implementation reads every field of a message, and writes the same content."""
    theirs = _other_class(message.DESCRIPTOR.full_name).parse(message.SerializeToString())
    assert not list(_unread(theirs)), f"{message.DESCRIPTOR.full_name} has fields the other implementation lacks"
    assert type(message).FromString(bytes(theirs)) == message
    for packed in _packed(message):
        inner = _our_class(packed.type_url)()
        assert packed.Unpack(inner)
        assert_reads_the_same(inner)


def _other_class(full_name: str) -> Any:
    package = full_name.rpartition(".")[0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the package warns of its own deprecated fields while it is imported
        importlib.import_module(f"envoy_data_plane.{package}")
    return default_message_pool.url_to_type[f"type.googleapis.com/{full_name}"]


def _our_class(type_url: str) -> type[Message]:
    descriptor = descriptor_pool.Default().FindMessageTypeByName(type_url.rpartition("/")[2])
    return message_factory.GetMessageClass(descriptor)


def _packed(message: Message) -> Iterator[AnyMessage]:
    """Yield every ``Any`` of a message, at any depth."""
    if isinstance(message, AnyMessage):
        yield message
        return
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        is_map = field.message_type.GetOptions().map_entry
        parts = list(value.values()) if is_map else list(value) if field.is_repeated else [value]
        for part in parts:
            if isinstance(part, Message):
                yield from _packed(part)


def _unread(message: Any) -> Iterator[str]:
    """Yield the parts of a message of the other implementation that hold fields it does not know."""
    if isinstance(message, OtherMessage):
        if message._unknown_fields:
            yield type(message).__name__
        for name in vars(message):
            yield from _unread(getattr(message, name))
    elif isinstance(message, list):
        for item in message:
            yield from _unread(item)
    elif isinstance(message, dict):
        for item in message.values():
            yield from _unread(item)
