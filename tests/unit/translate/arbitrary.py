"""Well-typed objects that hold anything at all: what a decoder lets through, translation has to stand."""

from __future__ import annotations

import types
import typing
from datetime import UTC, datetime
from functools import cache
from typing import Any

import msgspec
from hypothesis import strategies as st

from nodegate.model.changes import Change, Claimed, Delete, Quarantined, Upsert
from nodegate.model.generated_service import INGRESS_ANNOTATION
from nodegate.model.objects import (
    KIND_OF,
    HTTPIngressRuleValue,
    Ingress,
    IngressServiceBackend,
    Metadata,
    Object,
    ServiceBackendPort,
)
from nodegate.translate.annotations import INGRESS_ANNOTATIONS, SERVICE_ANNOTATIONS
from nodegate.translate.redirects import SOURCE_RANGES_ANNOTATION
from nodegate.translate.settings import CONTROLLER, Expose, KeyPair, ListenerMode, Settings
from tests.certificates import pair

_GOOD = pair("a.example")
_WORDS = ["", "a", "app", "nodegate", "a.example", "*.a.example", "web", "80", "/", "/a", "*", "@", "a/b", "..", "TCP"]
_MEANT = [
    "Exact",
    "Prefix",
    "ImplementationSpecific",
    "IPv4",
    "IPv6",
    "FQDN",
    "10.0.0.1",
    "fd00::1",
    "ClientIP",
    "https",
]
_MEANT += [
    "ExternalName",
    "localhost",
    "www.example.com",
    "h2c",
    "PreferClose",
    "Terminating",
    "kubernetes.io/tls",
    "(",
]
TEXT = st.one_of(st.sampled_from(_WORDS + _MEANT), st.text(max_size=8))
_KEYS = [annotation.key for annotation in (*INGRESS_ANNOTATIONS, *SERVICE_ANNOTATIONS)]
_KEYS += [INGRESS_ANNOTATION, SOURCE_RANGES_ANNOTATION]
_KEYS += ["kubernetes.io/ingress.class", "kubernetes.io/service-name", "ingressclass.kubernetes.io/is-default-class"]
_VALUES = [annotation.example for annotation in (*INGRESS_ANNOTATIONS, *SERVICE_ANNOTATIONS)]
_BYTES = [b"", b"x", _GOOD.certificate, _GOOD.key, _GOOD.authority]
_DATES = st.datetimes() | st.datetimes(timezones=st.just(UTC)) | st.just(datetime.max)  # noqa: DTZ901  # on purpose

_PLAIN: dict[Any, st.SearchStrategy[Any]] = {
    str: TEXT,
    int: st.one_of(st.sampled_from([0, 1, 80, 65_535, 65_536, -1]), st.integers(-(2**63), 2**63 - 1)),
    bool: st.booleans(),
    types.NoneType: st.none(),
    datetime: _DATES,
    dict[str, str]: st.dictionaries(
        st.one_of(st.sampled_from(_KEYS), TEXT), st.one_of(st.sampled_from([*_VALUES, CONTROLLER]), TEXT), max_size=4
    ),
    dict[str, bytes]: st.dictionaries(
        st.sampled_from(["tls.crt", "tls.key", "ca.crt"]), st.one_of(st.sampled_from(_BYTES), st.binary(max_size=9))
    ),
}


def _mostly(*meant: Any) -> st.SearchStrategy[Any]:
    """Return one of these, and any text now and then."""
    return _often(st.sampled_from(meant), TEXT)


def _often(usual: st.SearchStrategy[Any], odd: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return the usual nine times out of ten; ``one_of`` counts equal branches once."""
    return st.integers(0, 9).flatmap(lambda luck: usual if luck else odd)


_PORTS = [ServiceBackendPort(number=80), ServiceBackendPort("web"), ServiceBackendPort("web", 80)]
_SERVICES = st.builds(IngressServiceBackend, _mostly("app", "app", "web"), st.sampled_from(_PORTS))
_RULES = st.deferred(lambda: arbitrary(HTTPIngressRuleValue))
_OWN = {
    ("IngressSpec", "ingress_class_name"): st.sampled_from(["nodegate", "nodegate", "nodegate", None]),
    ("IngressClassSpec", "controller"): _mostly(CONTROLLER),
    ("IngressBackend", "service"): _often(_SERVICES, st.none()),
    ("HTTPIngressPath", "path"): _mostly("/", "/a", "/a/", "/a.*", "/a/b", "/.well-known/acme-challenge/x"),
    ("HTTPIngressPath", "path_type"): _mostly("Exact", "Prefix", "ImplementationSpecific"),
    ("IngressRule", "host"): _mostly("", "a.example", "*.a.example", "b.a.example"),
    ("IngressRule", "http"): _often(_RULES, st.none()),
    ("IngressTLS", "secret_name"): _mostly("app", "web", ""),
    ("ServicePort", "port"): st.sampled_from([80, 80, 443, 0, 65_536]),
    ("ServicePort", "name"): _mostly("", "web"),
    ("ServicePort", "protocol"): _mostly("TCP"),
    ("EndpointPort", "name"): _mostly(None, "", "web"),
    ("EndpointPort", "protocol"): _mostly(None, "TCP"),
    ("EndpointSlice", "address_type"): _mostly("IPv4", "IPv6"),
    ("Endpoint", "addresses"): st.lists(_mostly("10.0.0.1", "10.0.0.2", "fd00::1", "::%lo"), min_size=1).map(tuple),
}
"""Fields for which mere luck would hardly ever find something that means something."""


def arbitrary(of: Any) -> st.SearchStrategy[Any]:
    """Return values of any type that fields of the model have."""
    if of in _PLAIN:
        return _PLAIN[of]
    origin, arguments = typing.get_origin(of), typing.get_args(of)
    if origin is tuple:
        return st.lists(st.deferred(lambda: arbitrary(arguments[0])), max_size=3).map(tuple)
    if origin in {typing.Union, types.UnionType}:
        return st.one_of([arbitrary(argument) for argument in arguments])
    if of is Metadata:
        return _metadata()
    return _struct(of)


@cache
def _struct(of: type[msgspec.Struct]) -> st.SearchStrategy[Any]:
    hints = typing.get_type_hints(of)
    fields = {
        field.name: _OWN[own] if (own := (of.__name__, field.name)) in _OWN else arbitrary(hints[field.name])
        for field in msgspec.structs.fields(of)
    }
    return st.builds(of, **fields)


def _metadata() -> st.SearchStrategy[Metadata]:
    """Return metadata of few names, so that objects find each other."""
    labels = _often(st.just({"kubernetes.io/service-name": "app"}), _PLAIN[dict[str, str]])
    return st.builds(
        Metadata,
        _mostly("app", "web", "nodegate", "nodegate-app"),
        _mostly("default"),
        creation_timestamp=st.none() | _DATES,
        deletion_timestamp=st.sampled_from([None, None, None, None, datetime(2026, 1, 1, tzinfo=UTC)]),
        labels=labels,
        annotations=_PLAIN[dict[str, str]],
    )


def objects() -> st.SearchStrategy[Object]:
    """Return objects of every kind; as many Ingresses as all others, as they make most of what is made."""
    return st.one_of(arbitrary(Ingress), st.one_of([arbitrary(model) for model in KIND_OF]))


def changes() -> st.SearchStrategy[Change]:
    """Return changes of every kind."""
    claims = st.builds(
        Claimed,
        st.sampled_from(["default/web/http", "default/app/http", "shared/http", "shared/https"]) | TEXT,
        st.none() | st.integers(1, 65_535),
    )
    quarantined = st.builds(
        lambda content, none: Quarantined(content.ref, None if none else content), objects(), st.booleans()
    )
    upserts = objects().map(Upsert)
    return st.one_of(upserts, upserts, objects().map(lambda content: Delete(content.ref)), claims, quarantined)


SETTINGS = st.sampled_from(
    [
        Settings(),
        Settings(
            listener_mode=ListenerMode.SHARED,
            self_signed=KeyPair(_GOOD.certificate, _GOOD.key),
            publish_service=("default", "web"),
        ),
        Settings(external_names=True, default_backend=("default", "app", "80"), access_log=True),
        Settings(listener_mode=ListenerMode.SHARED, expose=Expose.HOST, default_certificate=("default", "app")),
    ]
)
