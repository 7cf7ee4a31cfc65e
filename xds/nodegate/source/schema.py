"""Values against the types of the model: every mismatch with its path, not only the first.

``msgspec.convert`` stops at the first mismatch; a person correcting a manifest wants them all, and also wants to hear
of fields the API does not have, which the model cannot know as it holds only a part of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import cache
from typing import Any

import msgspec
from msgspec import inspect as types

from nodegate.model.objects import EndpointSlice
from nodegate.source import codes
from nodegate.source.finding import Finding, Path, show_key
from nodegate.source.unread import UNREAD

_MORE_REQUIRED: Mapping[type, tuple[str, ...]] = {EndpointSlice: ("addressType",)}
"""Fields that the API requires although the model has a default for them."""

_NAMES: tuple[tuple[type, str], ...] = (  # bool before int: a bool is an int in Python
    (bool, "a boolean"),
    (int, "an integer"),
    (float, "a number"),
    (str, "a string"),
    (Mapping, "a mapping"),
    (list, "a list"),
)


def mismatches(value: Mapping[str, Any], model: type) -> Iterator[Finding]:
    """Yield what in ``value`` does not fit ``model``; without one that spoils, ``msgspec.convert`` will succeed."""
    yield from _check(value, _type_of(model), ())


@cache
def _type_of(model: type) -> types.Type:
    return types.type_info(model)


def _check(value: Any, expected: types.Type, path: Path) -> Iterator[Finding]:
    match expected:
        case types.StructType():
            yield from _struct(value, expected, path)
        case types.DictType():
            yield from _mapping(value, expected, path)
        case types.VarTupleType():
            yield from _list(value, expected, path)
        case types.UnionType():
            yield from _union(value, expected, path)
        case _:
            yield from _leaf(value, expected, path)


def _struct(value: Any, expected: types.StructType, path: Path) -> Iterator[Finding]:
    if not isinstance(value, Mapping):
        yield _wrong(value, "a mapping", path)
        return
    required = _MORE_REQUIRED.get(expected.cls, ())
    for field in expected.fields:
        name = field.encode_name
        if name in value:
            yield from _check(value[name], field.type, (*path, name))
        elif field.required or name in required:
            yield Finding(codes.MISSING_FIELD, (*path, name), f"The required field {name} is missing.")
    yield from _unknown(value, expected, path)


def _unknown(value: Mapping[str, Any], expected: types.StructType, path: Path) -> Iterator[Finding]:
    known = _fields_of(expected.cls)
    for name in value:
        if name not in known:
            yield Finding(codes.UNKNOWN_FIELD, (*path, name), _unknown_message(name, known))


def _unknown_message(name: str, known: frozenset[str]) -> str:
    folded = name.lower().replace("_", "").replace("-", "")
    meant = next((field for field in sorted(known) if field.lower() == folded), None)
    hint = f"; it is written {meant}" if meant else ""
    return f"There is no field {show_key(name)} here{hint}."


@cache
def _fields_of(model: type) -> frozenset[str]:
    info = _type_of(model)
    fields = info.fields if isinstance(info, types.StructType) else ()
    return frozenset(field.encode_name for field in fields) | UNREAD.get(model, frozenset())


def _mapping(value: Any, expected: types.DictType, path: Path) -> Iterator[Finding]:
    if not isinstance(value, Mapping):
        yield _wrong(value, "a mapping", path)
        return
    for key, item in value.items():
        yield from _check(item, expected.value_type, (*path, key))


def _list(value: Any, expected: types.VarTupleType, path: Path) -> Iterator[Finding]:
    if not isinstance(value, list):
        yield _wrong(value, "a list", path)
        return
    for index, item in enumerate(value):
        yield from _check(item, expected.item_type, (*path, index))


def _union(value: Any, expected: types.UnionType, path: Path) -> Iterator[Finding]:
    """Check against the one alternative that is not None, or, of several, for any that fits."""
    options = [option for option in expected.types if not isinstance(option, types.NoneType)]
    if len(options) > 1 and any(not tuple(_check(value, option, path)) for option in options):
        return
    yield from _check(value, options[0], path)


def _leaf(value: Any, expected: types.Type, path: Path) -> Iterator[Finding]:
    match expected:
        case types.StrType():
            fits, name = isinstance(value, str), "a string"
        case types.BoolType():
            fits, name = isinstance(value, bool), "a boolean"
        case types.IntType():
            fits, name = isinstance(value, int) and not isinstance(value, bool), "an integer"
        case types.BytesType():
            fits, name = _converts(value, bytes), "base64 text"
        case types.DateTimeType():
            fits, name = _converts(value, datetime), "a time like 2026-01-31T12:00:00Z"
        case _:
            fits, name = True, ""
    if not fits:
        yield _wrong(value, name, path)


def _converts(value: Any, to: type) -> bool:
    try:
        msgspec.convert(value, to)
    except msgspec.ValidationError:
        return False
    return True


def _wrong(value: Any, expected: str, path: Path) -> Finding:
    """Say which types are expected and found. Never the value: it may be a part of a private key."""
    found = next((name for kind, name in _NAMES if isinstance(value, kind)), "nothing")
    message = f"The value must be {expected}, not {found}." if found != expected else f"The value must be {expected}."
    if expected.startswith(("base64", "a time")) and found == "a string":
        message = f"The value is not {expected}."
    return Finding(codes.INVALID_TYPE, path, message, _type_remedy(value, expected))


def _type_remedy(value: Any, expected: str) -> str:
    if expected == "a string" and isinstance(value, bool | int | float):
        return "Put the value in quotes."
    if expected == "an integer" and isinstance(value, str) and value.isdecimal():
        return "Remove the quotes."
    return ""
