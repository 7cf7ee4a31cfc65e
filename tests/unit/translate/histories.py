"""Histories of a small cluster in which everything collides: few names, many meanings."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from nodegate.model.changes import Change, Claimed, Delete, Upsert
from nodegate.model.objects import (
    EndpointConditions,
    HTTPIngressPath,
    HTTPIngressRuleValue,
    Ingress,
    IngressBackend,
    IngressRule,
    Metadata,
    Namespace,
    NamespaceStatus,
    Object,
    TypedLocalObjectReference,
)
from nodegate.model.refs import Ref
from nodegate.translate.settings import CONTROLLER
from tests.unit.translate.objects import endpoints, ingress, ingress_class, rule, service

NAMESPACES = st.sampled_from(["default", "shop"])
INGRESSES = st.sampled_from(["web", "api"])
SERVICES = st.sampled_from(["app", "db"])
HOSTS = st.sampled_from(["", "a.example", "*.a.example", "B.example", "not a host"])
PATHS = st.sampled_from(["/", "/a", "/a/", "/a/b", "=/a", "=/a/", "=/", "no-slash", "/a?b"])
BACKENDS = st.sampled_from(["app:80", "app:web", "db:80", "db:none", "db:81"])


def rules() -> st.SearchStrategy[IngressRule]:
    """Return rules, some of which hold no path."""
    full = st.builds(rule, st.dictionaries(PATHS, BACKENDS, max_size=3), HOSTS)
    bucket = IngressBackend(resource=TypedLocalObjectReference("Bucket", "static"))
    odd = HTTPIngressRuleValue((HTTPIngressPath("Prefix", bucket, "/x"), HTTPIngressPath("Sideways", bucket, "/y")))
    return st.one_of(full, st.just(IngressRule("a.example", None)), st.just(IngressRule("a.example", odd)))


def ingresses() -> st.SearchStrategy[Ingress]:
    """Return Ingresses of several classes, ages and namespaces."""
    return st.builds(
        lambda name, listed, class_name, default, age, namespace: ingress(
            name, *listed, class_name=class_name, default=default, age=age, namespace=namespace
        ),
        INGRESSES,
        st.lists(rules(), max_size=3),
        st.sampled_from(["nodegate", "other", None]),
        st.sampled_from(["", "app:80", "db:web"]),
        st.sampled_from([None, 1, 2]),
        NAMESPACES,
    )


def _classes() -> st.SearchStrategy[Any]:
    return st.builds(
        lambda name, controller, default, age: ingress_class(name, controller=controller, default=default, age=age),
        st.sampled_from(["nodegate", "other"]),
        st.sampled_from([CONTROLLER, "example.com/other"]),
        st.booleans(),
        st.sampled_from([1, 2]),
    )


def _services() -> st.SearchStrategy[Any]:
    ports = st.lists(st.sampled_from([("web", 80), ("", 80), ("web", 81)]), max_size=2)
    return st.builds(lambda name, listed, ns: service(name, *listed, namespace=ns), SERVICES, ports, NAMESPACES)


def _slices() -> st.SearchStrategy[Any]:
    conditions = st.builds(
        EndpointConditions, *(st.sampled_from([None, True, False]) for _ in ("ready", "serving", "terminating"))
    )
    addresses = st.lists(
        st.tuples(st.sampled_from(["10.0.0.1", "10.0.0.2", "fd00::1", "nowhere"]), conditions), max_size=3
    )
    return st.builds(
        lambda of, listed, port_name, name, address_type, ns: endpoints(
            of, *listed, port_name=port_name, name=name, address_type=address_type, namespace=ns
        ),
        st.sampled_from(["app", "db", ""]),
        addresses,
        st.sampled_from(["web", ""]),
        st.sampled_from(["s1", "s2"]),
        st.sampled_from(["IPv4", "IPv6", "FQDN"]),
        NAMESPACES,
    )


def _namespaces() -> st.SearchStrategy[Any]:
    return st.builds(
        lambda name, phase: Namespace(Metadata(name), NamespaceStatus(phase)),
        NAMESPACES,
        st.sampled_from(["Active", "Terminating"]),
    )


def objects() -> st.SearchStrategy[Object]:
    """Return objects of every kind that translation reads."""
    return st.one_of(ingresses(), _classes(), _services(), _slices(), _namespaces())


def changes() -> st.SearchStrategy[Change]:
    """Return changes: objects that come, change and go, and claims."""
    claims = st.builds(
        lambda ns, name, port: Claimed(f"{ns}/{name}/http", port),
        NAMESPACES,
        INGRESSES,
        st.sampled_from([None, 18_000, 18_001]),
    )
    return st.one_of(objects().map(Upsert), objects().map(lambda content: Delete(content.ref)), claims)


def surviving(history: list[Change]) -> list[Change]:
    """Return what is left after a history: one upsert per object that exists, one claim per claimed listener."""
    left: dict[Ref | str, Change] = {}
    for change in history:
        match change:
            case Upsert():
                left[change.ref] = change
            case Delete(ref):
                left.pop(ref, None)
            case Claimed(listener, port):
                left.pop(listener, None)
                if port is not None:
                    left[listener] = change
    return list(left.values())
