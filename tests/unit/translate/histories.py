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
    Secret,
    ServicePort,
    ServiceSpec,
    TypedLocalObjectReference,
)
from nodegate.model.refs import Ref
from nodegate.translate.certificates import check_secret
from nodegate.translate.settings import CONTROLLER, Expose, KeyPair, ListenerMode, Settings
from tests.certificates import pair
from tests.unit.translate.objects import at, endpoints, front_door, ingress, ingress_class, rule, secret, service, tls

NAMESPACES = st.sampled_from(["default", "shop"])
INGRESSES = st.sampled_from(["web", "api"])
SERVICES = st.sampled_from(["app", "db"])
SECRETS = st.sampled_from(["one", "two"])
HOSTS = st.sampled_from(["", "a.example", "*.a.example", "B.example", "x.a.example", "not a host"])
PATHS = st.sampled_from(["/", "/a", "/a/", "/a/b", "=/a", "=/a/", "=/", "no-slash", "/a?b", "/.well-known"])
BACKENDS = st.sampled_from(["app:80", "app:web", "db:80", "db:none", "db:81"])
INGRESS_ANNOTATIONS = st.dictionaries(
    st.sampled_from(["listener_mode", "timeout", "canary", "allow_ranges", "ssl_redirect", "unknown"]),
    st.sampled_from(["shared", "dedicated", "3", "app=db:10", "10.0.0.0/8", "false", ""]),
    max_size=2,
)
SERVICE_ANNOTATIONS = st.dictionaries(
    st.sampled_from(["protocol", "affinity", "locality", "upstream_ca", "outlier_detection", "retries"]),
    st.sampled_from(["https", "h2c", "client-ip", "node", "one", "true", "3"]),
    max_size=2,
)
SETTINGS = st.sampled_from(
    [
        Settings(),
        Settings(listener_mode=ListenerMode.SHARED, default_certificate=("default", "one")),
        Settings(listener_mode=ListenerMode.SHARED, expose=Expose.HOST, self_signed=KeyPair(b"c", b"k")),
        Settings(default_backend=("default", "app", "80"), external_names=True, https_port=8443),
    ]
)


def rules() -> st.SearchStrategy[IngressRule]:
    """Return rules, some of which hold no path."""
    full = st.builds(rule, st.dictionaries(PATHS, BACKENDS, max_size=3), HOSTS)
    bucket = IngressBackend(resource=TypedLocalObjectReference("Bucket", "static"))
    odd = HTTPIngressRuleValue((HTTPIngressPath("Prefix", bucket, "/x"), HTTPIngressPath("Sideways", bucket, "/y")))
    return st.one_of(full, st.just(IngressRule("a.example", None)), st.just(IngressRule("a.example", odd)))


_TLS_HOSTS = st.lists(st.sampled_from(["a.example", "*.a.example", "x.a.example", "c.example", "no host"]), max_size=2)


def ingresses() -> st.SearchStrategy[Ingress]:
    """Return Ingresses of several classes, ages and namespaces."""
    return st.builds(
        lambda name, listed, class_name, default, age, namespace, secure, annotations: ingress(
            name,
            *listed,
            class_name=class_name,
            default=default,
            age=age,
            namespace=namespace,
            tls=tuple(secure),
            **annotations,
        ),
        INGRESSES,
        st.lists(rules(), max_size=3),
        st.sampled_from(["nodegate", "other", None]),
        st.sampled_from(["", "app:80", "db:web"]),
        st.sampled_from([None, 1, 2]),
        NAMESPACES,
        st.lists(
            st.builds(lambda name, hosts: tls(name, *hosts), st.sampled_from(["one", "two", ""]), _TLS_HOSTS),
            max_size=2,
        ),
        INGRESS_ANNOTATIONS,
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
    ports = st.lists(
        st.sampled_from([("web", 80), ("", 80), ("web", 81), ServicePort(80, "web", app_protocol="grpc")]), max_size=2
    )
    specs = st.sampled_from(
        [
            ServiceSpec(),
            ServiceSpec(session_affinity="ClientIP"),
            ServiceSpec(type="ExternalName", external_name="www.example.com"),
            ServiceSpec(type="ExternalName", external_name="localhost"),
            ServiceSpec(traffic_distribution="PreferClose"),
            ServiceSpec(ip_families=("IPv6",)),
        ]
    )
    return st.builds(
        lambda name, listed, ns, spec, annotations: service(name, *listed, namespace=ns, spec=spec, **annotations),
        SERVICES,
        ports,
        NAMESPACES,
        specs,
        SERVICE_ANNOTATIONS,
    )


def _front_doors() -> st.SearchStrategy[Any]:
    """Return Services by which clients reach listeners, which want each other's addresses."""
    specs = st.builds(
        ServiceSpec,
        cluster_ip=st.sampled_from(["", "None", "10.96.0.1", "10.96.0.2"]),
        external_ips=st.sampled_from([(), ("192.0.2.1",), ("192.0.2.1", "2001:db8::1"), ("0.0.0.0",)]),
        load_balancer_source_ranges=st.sampled_from([(), ("10.0.0.0/8",), ("nowhere",)]),
    )
    return st.builds(
        lambda of, spec, balanced, age, namespace: front_door(
            of, spec=spec, balanced=tuple(balanced), node_ports=(30_080, 30_443), age=age, namespace=namespace
        ),
        INGRESSES,
        specs,
        st.lists(st.sampled_from(["192.0.2.1", "198.51.100.1"]), max_size=2),
        st.sampled_from([None, 1, 2]),
        NAMESPACES,
    )


def _slices() -> st.SearchStrategy[Any]:
    conditions = st.builds(
        EndpointConditions, *(st.sampled_from([None, True, False]) for _ in ("ready", "serving", "terminating"))
    )
    places = st.builds(
        at,
        st.sampled_from(["10.0.0.1", "10.0.0.2", "fd00::1", "nowhere"]),
        st.sampled_from(["node-a", "node-b", ""]),
        st.sampled_from(["zone-a", "zone-b", ""]),
        conditions,
    )
    return st.builds(
        lambda of, listed, port, name, address_type, ns: endpoints(
            of, *listed, port=port, port_name="web", name=name, address_type=address_type, namespace=ns
        ),
        st.sampled_from(["app", "db", ""]),
        st.lists(places, max_size=3),
        st.sampled_from([8080, None, 0]),
        st.sampled_from(["s1", "s2"]),
        st.sampled_from(["IPv4", "IPv6", "FQDN"]),
        NAMESPACES,
    )


def _secrets() -> st.SearchStrategy[Any]:
    good, other = pair("a.example").data, pair("b.example").data
    mixed = {**good, "tls.key": other["tls.key"]}
    return st.builds(secret, SECRETS, st.sampled_from([good, other, mixed, {"ca.crt": b"no"}, {}]), NAMESPACES)


def _namespaces() -> st.SearchStrategy[Any]:
    return st.builds(
        lambda name, phase: Namespace(Metadata(name), NamespaceStatus(phase)),
        NAMESPACES,
        st.sampled_from(["Active", "Terminating"]),
    )


def objects() -> st.SearchStrategy[Object]:
    """Return objects of every kind that translation reads."""
    return st.one_of(ingresses(), _classes(), _services(), _front_doors(), _slices(), _secrets(), _namespaces())


def changes() -> st.SearchStrategy[Change]:
    """Return changes: objects that come, change and go, and claims."""
    frontends = st.sampled_from(["default/web", "default/api", "shop/web", "shop/api", "shared"])
    claims = st.builds(
        lambda frontend, scheme, port: Claimed(f"{frontend}/{scheme}", port),
        frontends,
        st.sampled_from(["http", "https"]),
        st.sampled_from([None, 18_000, 18_001]),
    )
    return st.one_of(objects().map(Upsert), objects().map(lambda content: Delete(content.ref)), claims)


def surviving(history: list[Change]) -> list[Change]:
    """Return what is left after a history: one upsert per object that exists, one claim per claimed listener.

    Of a Secret that is no good, its last good content is left as well: it is the one that is served.
    """
    left: dict[Ref | str, tuple[Change, ...]] = {}
    for change in history:
        match change:
            case Upsert(Secret() as now) if check_secret(now).fault:
                good = [c for c in left.get(now.ref, ()) if isinstance(c, Upsert) and _is_good(c)]
                left[now.ref] = (*good, change)
            case Upsert():
                left[change.ref] = (change,)
            case Delete(ref):
                left.pop(ref, None)
            case Claimed(listener, port):
                left.pop(listener, None)
                if port is not None:
                    left[listener] = (change,)
    return [change for changes_left in left.values() for change in changes_left]


def _is_good(change: Upsert) -> bool:
    return isinstance(change.object, Secret) and not check_secret(change.object).fault
