"""Documents, or the API's raw JSON, -> model objects."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec
from msgspec import structs

from nodegate.model.objects import Object
from nodegate.model.refs import Kind, Ref
from nodegate.source import codes
from nodegate.source.finding import Finding, Path
from nodegate.source.kinds import LISTS, SERVED, Served, identify
from nodegate.source.schema import mismatches
from nodegate.source.validation import check
from nodegate.source.validation.names import name_fault

DEFAULT_NAMESPACE = "default"
TLS_SECRET = "kubernetes.io/tls"  # noqa: S105  # the type of a Secret, not a password
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
MOST_FINDINGS = 25  # of one kind per object
_DEEPEST_LIST = 16  # steps of a path: lists eight deep in lists

T = TypeVar("T", bound=Object)


@dataclass(frozen=True, slots=True)
class Decoded:
    """What one object of a document came to.

    ``ref`` is None when it cannot be told which object it is; ``object`` is None when it cannot be used. ``path`` is
    where the object starts in its document; the paths of the findings start at the object.
    """

    ref: Ref | None
    object: Object | None
    path: Path = ()
    findings: tuple[Finding, ...] = ()


def decode(document: Any, findings: tuple[Finding, ...] = ()) -> Iterator[Decoded]:
    """Yield the objects nodegate reads in a document (one, or the items of a list); others are passed over.

    ``findings`` are what reading the text of the document has found already, with paths in the document.
    """
    yield from _decode(document, None, (), findings)


def decode_json(raw: bytes | msgspec.Raw, model: type[T]) -> T:
    """Return an object as the Kubernetes API sends it: valid, with its namespace, but with ``null`` for empty lists.

    Raises:
        msgspec.ValidationError: It does not fit ``model``.
        msgspec.DecodeError: It is not JSON.
    """
    try:
        return _without_copy(msgspec.json.decode(raw, type=model))
    except msgspec.ValidationError:  # decoding twice is cheap as it is rare: a slice with `"endpoints": null`
        return _without_copy(msgspec.convert(_without_nulls(msgspec.json.decode(raw)), type=model))


def _decode(value: Any, parent: Served | None, path: Path, findings: tuple[Finding, ...]) -> Iterator[Decoded]:
    if not isinstance(value, Mapping):
        message = "The document is not an object but a list or a single value."
        yield Decoded(None, None, path, (Finding(codes.NOT_AN_OBJECT, (), message),))
        return
    if parent is not None:
        value = {"apiVersion": parent.api_version, "kind": parent.kind.value, **value}
    if value.get("kind") == "List" and value.get("apiVersion") == "v1":
        yield from _items(value, None, path, findings)
        return
    found = identify(value)
    if isinstance(found, Served) and value["kind"] in LISTS:
        yield from _items(value, found, path, findings)
    elif found is not None:
        yield from _one(value, found, path, findings)


def _items(
    value: Mapping[str, Any], parent: Served | None, path: Path, findings: tuple[Finding, ...]
) -> Iterator[Decoded]:
    """Decode the items of a list. API servers leave apiVersion and kind out of the items of a typed list."""
    items = value.get("items", [])
    if len(path) > _DEEPEST_LIST:
        yield Decoded(None, None, path, (Finding(codes.DOCUMENT_TOO_COMPLEX, (), "Lists nest in lists too deep."),))
        return
    own = tuple(finding for finding in findings if finding.path[: len(path) + 1] != (*path, "items"))
    if own:
        yield Decoded(None, None, path, tuple(finding.below(path) for finding in own))
    if not isinstance(items, list):
        yield Decoded(None, None, path, (Finding(codes.INVALID_TYPE, ("items",), "The value must be a list."),))
        return
    for index, item in enumerate(items):
        below = (*path, "items", index)
        theirs = tuple(finding for finding in findings if finding.path[: len(below)] == below)
        yield from _decode(item, parent, below, theirs)


def _one(
    value: Mapping[str, Any], found: Served | Finding, path: Path, findings: tuple[Finding, ...]
) -> Iterator[Decoded]:
    own = tuple(finding.below(path) for finding in findings)
    if isinstance(found, Finding):
        yield Decoded(_ref_of_unserved(value), None, path, (*own, found))
        return
    if found.kind is Kind.SECRET and value.get("type", "Opaque") != TLS_SECRET:
        return
    ref, named = _identity(value, found.kind)
    if ref is None:
        yield Decoded(None, None, path, (*own, *named))
        return
    own += tuple(_string_data_faults(value) if found.kind is Kind.SECRET else ())
    decoded, more = _convert(_normal(value, ref), found, own)
    yield Decoded(ref, decoded, path, (*own, *more))


def _convert(
    value: Mapping[str, Any], served: Served, before: tuple[Finding, ...]
) -> tuple[Object | None, tuple[Finding, ...]]:
    found = _first(mismatches(value, served.type))
    if any(finding.spoils for finding in (*before, *found)):
        return None, found
    decoded = _without_copy(msgspec.convert(value, served.type))
    refused = _first(check(decoded))
    return (None if refused else decoded), (*found, *refused)


def _first(findings: Iterator[Finding]) -> tuple[Finding, ...]:
    """Return the findings of one object, as many as a person reads; where they are too many, the worst."""
    found = tuple(findings)
    if len(found) <= MOST_FINDINGS:
        return found
    worst = sorted(found, key=lambda finding: not finding.spoils)[:MOST_FINDINGS]
    left = len(found) - MOST_FINDINGS
    return (*worst, Finding(worst[0].code, (), f"{left} more things are wrong with the object and not listed."))


# --- Identity ----------------------------------------------------------------------------------------------------


def _identity(value: Mapping[str, Any], kind: Kind) -> tuple[Ref | None, tuple[Finding, ...]]:
    """Return which object this is, or why that cannot be told."""
    metadata = value.get("metadata", {})
    if not isinstance(metadata, Mapping):
        return None, (Finding(codes.INVALID_TYPE, ("metadata",), "The value must be a mapping."),)
    name, namespace = metadata.get("name", ""), metadata.get("namespace", "") or DEFAULT_NAMESPACE
    findings = [_name_finding(name, kind, metadata), _namespace_finding(namespace, kind)]
    wrong = tuple(finding for finding in findings if finding is not None)
    return (None, wrong) if wrong else (Ref(kind, namespace if kind.namespaced else "", name), ())


def _name_finding(name: Any, kind: Kind, metadata: Mapping[str, Any]) -> Finding | None:
    path = ("metadata", "name")
    if not isinstance(name, str):
        return Finding(codes.INVALID_TYPE, path, "The name must be a string.", "Put the name in quotes.")
    if not name and metadata.get("generateName"):
        message = f"The {kind.value} has generateName and no name; only an API server makes names."
        return Finding(codes.INVALID_NAME, path, message, "Give it a metadata.name.")
    fault = name_fault(name, kind) if name else "has no name"
    return Finding(codes.INVALID_NAME, path, f"The {kind.value} {fault}.") if fault else None


def _namespace_finding(namespace: Any, kind: Kind) -> Finding | None:
    if not kind.namespaced:
        return None
    fault = name_fault(namespace, Kind.NAMESPACE) if isinstance(namespace, str) else "is not a string"
    return Finding(codes.INVALID_NAME, ("metadata", "namespace"), f"The namespace {fault}.") if fault else None


def _ref_of_unserved(value: Mapping[str, Any]) -> Ref | None:
    """Return which object one with a wrong apiVersion is meant to be; none for a list, or without a kind."""
    served = SERVED.get(str(value.get("kind")))
    return _identity(value, served.kind)[0] if served else None


# --- The one form of everything ----------------------------------------------------------------------------------


def _normal(value: Mapping[str, Any], ref: Ref) -> dict[str, Any]:
    normal = dict(value)
    normal["metadata"] = {**value["metadata"], "namespace": ref.namespace}
    if ref.kind is Kind.SECRET:
        _merge_string_data(normal)
    return normal


def _merge_string_data(secret: dict[str, Any]) -> None:
    """Do to a Secret what the API server does: plain ``stringData`` goes over ``data``; base64 may have line ends."""
    data = secret.get("data", {})
    plain = secret.get("stringData", {})
    if isinstance(data, Mapping) and isinstance(plain, Mapping):
        decoded = {key: _without_line_ends(text) for key, text in data.items()}
        encoded = {key: _base64(text) for key, text in plain.items() if isinstance(text, str)}
        secret["data"] = {**decoded, **encoded}


def _string_data_faults(secret: Mapping[str, Any]) -> Iterator[Finding]:
    plain = secret.get("stringData", {})
    if not isinstance(plain, Mapping):
        yield Finding(codes.INVALID_TYPE, ("stringData",), "The value must be a mapping.")
        return
    for key, text in plain.items():
        if not isinstance(text, str):
            yield Finding(codes.INVALID_TYPE, ("stringData", key), "The value must be a string.", "Put it in quotes.")


def _without_line_ends(text: Any) -> Any:
    return text.replace("\n", "").replace("\r", "") if isinstance(text, str) else text


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _without_copy(decoded: T) -> T:
    """Leave out the copy of the whole object that ``kubectl apply`` makes: of a Secret, it holds the private key."""
    annotations = decoded.metadata.annotations
    if _LAST_APPLIED not in annotations:
        return decoded
    kept = {key: value for key, value in annotations.items() if key != _LAST_APPLIED}
    return structs.replace(decoded, metadata=structs.replace(decoded.metadata, annotations=kept))


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value
