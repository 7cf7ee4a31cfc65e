"""Clusters: one per Service port that a route leads to; their endpoints come by EDS under the same name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from envoy.config.cluster.v3 import cluster_pb2
from envoy.extensions.clusters.common.dns.v3 import dns_pb2 as common_dns_pb2
from envoy.extensions.clusters.dns.v3 import dns_cluster_pb2
from envoy.extensions.transport_sockets.tls.v3 import tls_pb2
from envoy.extensions.upstreams.http.v3 import http_protocol_options_pb2

from nodegate.model.objects import ServicePort
from nodegate.model.problem import Problem
from nodegate.model.refs import Ref
from nodegate.snapshot.resource import Resource
from nodegate.snapshot.type_urls import CLUSTER, ENDPOINT, SECRET
from nodegate.translate import codes
from nodegate.translate.hosts import host_fault
from nodegate.translate.names import ClusterKey, ObjectName, service_ref
from nodegate.translate.options import ClusterOptions, Protocol
from nodegate.translate.packing import pack, seconds, serialised
from nodegate.translate.retries import retry_policy
from nodegate.translate.settings import Settings
from nodegate.translate.upstreams import Upstream

Cluster = cluster_pb2.Cluster

CONNECT_TIMEOUT = 5.0
"""Seconds an endpoint may take to accept a connection (ingress.md 43)."""

_HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
# Limits that protect Envoy's memory and not the application: many idle WebSockets must not turn into 503.
_MOST_AT_ONCE = 65_536
_RETRY_SHARE, _RETRIES_ALWAYS = 25.0, 10
_DEFAULTS = ClusterOptions()

_APP_PROTOCOLS = {
    "": Protocol.HTTP,
    "http": Protocol.HTTP,
    "kubernetes.io/ws": Protocol.HTTP,
    "kubernetes.io/h2c": Protocol.H2C,
    "h2c": Protocol.H2C,
    "grpc": Protocol.H2C,
    "https": Protocol.HTTPS,
    "kubernetes.io/wss": Protocol.HTTPS,
    "grpcs": Protocol.GRPCS,
}
"""What is spoken for each ``appProtocol`` of a Service's port (ingress.md 33)."""


@dataclass(frozen=True, slots=True)
class BuiltCluster:
    """A cluster, and how it gets endpoints.

    ``discovers`` says that they come by EDS. ``authority`` is the Secret that verifies them, if any is asked for;
    where that Secret is no good, ``closed`` says that nobody may answer, so it has to stay without endpoints.
    """

    resource: Resource
    discovers: bool
    authority: ObjectName | None
    closed: bool
    problems: Mapping[Ref, tuple[Problem, ...]]


def _allowed_name(key: ClusterKey, upstream: Upstream, settings: Settings) -> str:
    """Return the DNS name of a Service of type ExternalName; empty for others and for those that are refused.

    What leads back into this machine is refused: it would open Envoy's own ports to whoever may write a Service
    (GHSA-5ph6-qq5x-7jwc, ingress.md 28).
    """
    if not upstream.is_external or not settings.external_names or not key.port.isdecimal():
        return ""
    return "" if _leads_back(upstream.external_name) or not 0 < int(key.port) <= 65_535 else upstream.external_name


def _leads_back(name: str) -> bool:
    try:
        address = ip_address(name)
    except ValueError:
        labels = name.split(".")
        return bool(host_fault(name)) or "localhost" in (labels[-1], labels[0]) or name.endswith(".localdomain")
    return address.is_loopback or address.is_link_local or address.is_unspecified or address.is_multicast


def cluster(
    key: ClusterKey, upstream: Upstream | None, settings: Settings, authority_fault: Callable[[ObjectName], str]
) -> BuiltCluster:
    """Return the cluster of a Service's port (ingress.md 22); without a Service it is one without endpoints.

    ``authority_fault`` says why a Secret cannot verify endpoints, as a sentence; empty when it can.
    """
    ref = upstream.service.ref if upstream else service_ref(key.service)
    message, refs, problems = Cluster(), [], _Problems(ref)
    message.CopyFrom(_TEMPLATE)
    message.name = name = key.name
    dns_name = _allowed_name(key, upstream, settings) if upstream else ""
    if dns_name:
        _discover_by_dns(message, dns_name, int(key.port))
    else:
        message.eds_cluster_config.service_name = name
        refs.append((ENDPOINT, name))
    authority = _follow(message, key, upstream, problems) if upstream else None
    if upstream and upstream.is_external and not dns_name:
        message_text = f"ExternalName {upstream.external_name!r} is not served on port {key.port}."
        problems.report(codes.EXTERNAL_NAME_REFUSED, "spec.externalName", message_text)
    fault = authority_fault(authority) if authority else ""
    if authority and fault:
        field, secret = "metadata.annotations[nodegate.dev/upstream-ca]", authority[1]
        problems.report(codes.UPSTREAM_CA_NOT_FOUND, field, f"Secret {secret!r} cannot verify endpoints. {fault}")
        message.ClearField("transport_socket")
    elif authority:
        refs.append((SECRET, authority_name(authority)))
    resource = Resource(CLUSTER, name, serialised(message), refs=tuple(refs), causes=(ref,))
    return BuiltCluster(resource, not dns_name, authority, bool(fault), problems.by_object())


def _follow(message: Any, key: ClusterKey, upstream: Upstream, problems: _Problems) -> ObjectName | None:
    """Do what a Service asks for its cluster; return the Secret that is to verify its endpoints, if any."""
    _limit(message, upstream.options)
    if upstream.affinity is not None:
        message.lb_policy = Cluster.MAGLEV
    protocol = upstream.options.protocol or _app_protocol(upstream.port(key.port), problems)
    _speak(message, protocol, upstream.options)
    return _encrypt(message, key, upstream.options, problems) if protocol.tls else None


class _Problems:
    """What is found wrong with one Service while its cluster is built."""

    def __init__(self, ref: Ref) -> None:
        self._ref = ref
        self._found: list[Problem] = []

    def report(self, code: Any, field: str, message: str) -> None:
        self._found.append(code.found(self._ref, field, message))

    def by_object(self) -> dict[Ref, tuple[Problem, ...]]:
        return {self._ref: tuple(sorted(self._found))} if self._found else {}


def _app_protocol(port: ServicePort | None, problems: _Problems) -> Protocol:
    given = (port.app_protocol or "") if port else ""
    protocol = _APP_PROTOCOLS.get(given.lower())
    if protocol is None:
        problems.report(codes.UNKNOWN_APP_PROTOCOL, "spec.ports", f"nodegate does not know appProtocol {given!r}.")
        return Protocol.HTTP
    return protocol


def _speak(message: Any, protocol: Protocol, options: ClusterOptions) -> None:
    """Say how endpoints are spoken to, where that is not what the template says."""
    if protocol.http2 or _retries(options) != _retries(_DEFAULTS):
        pack(message.typed_extension_protocol_options[_HTTP_OPTIONS], _http_options(options, http2=protocol.http2))


def _retries(options: ClusterOptions) -> tuple[int, bool]:
    return options.retries, options.per_try_timeout is not None


def _http_options(options: ClusterOptions, *, http2: bool) -> Any:
    """Return the version of HTTP, and how requests are repeated.

    Said of the cluster and not of each virtual host, retries are not sent again with every change of a shared route
    configuration, of which they were two thirds (decision 0013).
    """
    retries, tries_end = _retries(options)
    policy = retry_policy(retries, tries_end=tries_end)
    made = http_protocol_options_pb2.HttpProtocolOptions(retry_policy=policy)
    explicit = made.explicit_http_config
    (explicit.http2_protocol_options if http2 else explicit.http_protocol_options).SetInParent()
    return made


def _encrypt(message: Any, key: ClusterKey, options: ClusterOptions, problems: _Problems) -> ObjectName | None:
    """Encrypt connections to the endpoints, and verify them if the Service says by which authority; return its Secret.

    Without one anybody could answer, which is said: certificates inside a cluster are rarely signed by a public one.
    """
    context = tls_pb2.UpstreamTlsContext(sni=options.upstream_name)
    authority = (key.service[0], options.upstream_ca) if options.upstream_ca else None
    if authority is not None:
        validation = context.common_tls_context.combined_validation_context
        sds = validation.validation_context_sds_secret_config
        sds.name = authority_name(authority)
        sds.sds_config.ads.SetInParent()
        sds.sds_config.resource_api_version = 2  # V3
        validation.default_validation_context.SetInParent()
        context.auto_sni_san_validation = bool(options.upstream_name)
    if authority is None or not options.upstream_name:
        missing = "upstream-name" if authority else "upstream-ca"
        field, said = (
            f"metadata.annotations[nodegate.dev/{missing}]",
            "whose certificate" if authority else "who signs it",
        )
        problems.report(
            codes.UPSTREAM_NOT_VERIFIED, field, f"The Service asks for encryption, but does not say {said}."
        )
    message.transport_socket.name = "envoy.transport_sockets.tls"
    pack(message.transport_socket.typed_config, context)
    return authority


def authority_name(secret: ObjectName) -> str:
    """Return the name under which a Secret's ``ca.crt`` comes by SDS."""
    return f"{secret[0]}/{secret[1]}/ca.crt"


def _limit(message: Any, options: ClusterOptions) -> None:
    if options.connect_timeout:
        message.connect_timeout.CopyFrom(seconds(options.connect_timeout))
    thresholds = message.circuit_breakers.thresholds[0]
    if options.max_connections is not None:
        thresholds.max_connections.value = options.max_connections
    if options.max_requests is not None:
        thresholds.max_requests.value = options.max_requests
        thresholds.max_pending_requests.value = options.max_requests
    if options.outlier_detection:
        detection = message.outlier_detection
        detection.consecutive_5xx.value = 5
        detection.base_ejection_time.CopyFrom(seconds(30))
        detection.max_ejection_percent.value = 50


def _discover_by_dns(message: Any, name: str, port: int) -> None:
    message.ClearField("eds_cluster_config")
    message.cluster_type.name = "envoy.cluster.dns"
    pack(message.cluster_type.typed_config, _DNS)
    message.load_assignment.cluster_name = message.name
    # A name server that does not answer would keep the cluster in warming, and with it Envoy's start and its ACK of
    # every cluster beside it. The price: a route that turns to a name answers 503 until the name is resolved.
    message.wait_for_warm_on_init.value = False
    address = message.load_assignment.endpoints.add().lb_endpoints.add().endpoint.address.socket_address
    address.address = name
    address.port_value = port


# All addresses of the name are endpoints; IPv6 ones where there are no others.
_DNS = dns_cluster_pb2.DnsCluster(respect_dns_ttl=True, dns_lookup_family=common_dns_pb2.V4_PREFERRED)


def _template() -> Any:
    message = Cluster(
        type=Cluster.EDS,
        connect_timeout=seconds(CONNECT_TIMEOUT),
        lb_policy=Cluster.LEAST_REQUEST,
        ignore_health_on_host_removal=True,  # an endpoint that is gone gets no more requests, at once
    )
    message.eds_cluster_config.eds_config.ads.SetInParent()
    message.eds_cluster_config.eds_config.resource_api_version = 2  # V3
    # Else Envoy sends to endpoints that are not ready when most of them are not (ingress.md 25).
    message.common_lb_config.healthy_panic_threshold.SetInParent()
    _add_circuit_breakers(message)
    # HTTP/1.1 whatever the client speaks: an application has to say that it understands more (ingress.md 33).
    pack(message.typed_extension_protocol_options[_HTTP_OPTIONS], _http_options(_DEFAULTS, http2=False))
    return message


def _add_circuit_breakers(message: Any) -> None:
    thresholds = message.circuit_breakers.thresholds.add()
    for limit in (thresholds.max_connections, thresholds.max_pending_requests, thresholds.max_requests):
        limit.value = _MOST_AT_ONCE
    thresholds.retry_budget.budget_percent.value = _RETRY_SHARE
    thresholds.retry_budget.min_retry_concurrency.value = _RETRIES_ALWAYS


_TEMPLATE = _template()
