"""Service (``pkg/apis/core/validation``, ValidateService)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from nodegate.model.objects import Service, ServicePort, ServiceSpec
from nodegate.source import codes
from nodegate.source.finding import Finding, Path
from nodegate.source.validation.names import (
    cidr_fault,
    dns_label_fault,
    dns_subdomain_fault,
    ip_fault,
    port_name_fault,
    port_number_fault,
    qualified_name_fault,
)

PROTOCOLS = ("SCTP", "TCP", "UDP")

_ONE_OF: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("type", "type", ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")),
    ("session_affinity", "sessionAffinity", ("ClientIP", "None")),
    ("external_traffic_policy", "externalTrafficPolicy", ("", "Cluster", "Local")),
    ("internal_traffic_policy", "internalTrafficPolicy", ("", "Cluster", "Local")),
)
"""Attribute, field and allowed values."""


def check_service(service: Service) -> Iterator[Finding]:
    """Yield what an API server refuses in a Service."""
    spec = service.spec
    yield from _one_of(spec)
    yield from _addresses(spec)
    yield from _external_name(spec)
    if not spec.ports and spec.type != "ExternalName" and spec.cluster_ip != "None":
        yield Finding(
            codes.MISSING_FIELD, ("spec", "ports"), "The Service must have a port; only a headless one may not."
        )
    for index, port in enumerate(spec.ports):
        yield from _port(port, ("spec", "ports", index), named=len(spec.ports) > 1)
    yield from _twice(spec.ports)


def _one_of(spec: ServiceSpec) -> Iterator[Finding]:
    for attribute, field, allowed in _ONE_OF:
        value = getattr(spec, attribute)
        if value not in allowed:
            choice = ", ".join(option for option in allowed if option)
            yield _invalid(("spec", field), f"{field} {value!r} is none of {choice}.")


def _addresses(spec: ServiceSpec) -> Iterator[Finding]:
    if spec.cluster_ip not in {"", "None"} and (fault := ip_fault(spec.cluster_ip)):
        yield _invalid(("spec", "clusterIP"), f"The address {fault}.")
    for index, address in enumerate(spec.cluster_ips):
        if address != "None" and (fault := ip_fault(address)):
            yield _invalid(("spec", "clusterIPs", index), f"The address {fault}.")
    for index, address in enumerate(spec.external_ips):
        if fault := ip_fault(address):
            yield _invalid(("spec", "externalIPs", index), f"The address {fault}.")
    for index, family in enumerate(spec.ip_families):
        if family not in {"IPv4", "IPv6"}:
            yield _invalid(("spec", "ipFamilies", index), f"The family {family!r} is none of IPv4, IPv6.")
    for index, source_range in enumerate(spec.load_balancer_source_ranges):
        if fault := cidr_fault(source_range):
            yield _invalid(("spec", "loadBalancerSourceRanges", index), f"The source range {fault}.")


def _external_name(spec: ServiceSpec) -> Iterator[Finding]:
    if spec.type != "ExternalName":
        return
    path = ("spec", "externalName")
    if not spec.external_name:
        yield Finding(codes.MISSING_FIELD, path, "A Service of type ExternalName must have externalName.")
    elif fault := dns_subdomain_fault(spec.external_name.removesuffix(".")):
        yield _invalid(path, f"The external name {fault}.")


def _port(port: ServicePort, path: Path, *, named: bool) -> Iterator[Finding]:
    if fault := port_number_fault(port.port):
        yield _invalid((*path, "port"), f"The port {fault}.")
    if port.name and (fault := dns_label_fault(port.name)):
        yield _invalid((*path, "name"), f"The port name {fault}.")
    if named and not port.name:
        yield Finding(codes.MISSING_FIELD, (*path, "name"), "Every port must have a name when there are several.")
    if port.protocol not in PROTOCOLS:
        yield _invalid((*path, "protocol"), f"The protocol {port.protocol!r} is none of {', '.join(PROTOCOLS)}.")
    if port.node_port and (fault := port_number_fault(port.node_port)):
        yield _invalid((*path, "nodePort"), f"The node port {fault}.")
    if port.app_protocol is not None and (fault := qualified_name_fault(port.app_protocol)):
        yield _invalid((*path, "appProtocol"), f"The application protocol {fault}.")
    if fault := _target_port_fault(port.target_port):
        yield _invalid((*path, "targetPort"), f"The target port {fault}.")


def _target_port_fault(target: int | str | None) -> str:
    if target is None:
        return ""
    return port_name_fault(target) if isinstance(target, str) else port_number_fault(target) if target else ""


def _twice(ports: tuple[ServicePort, ...]) -> Iterator[Finding]:
    names = Counter(port.name for port in ports if port.name)
    numbers = Counter((port.port, port.protocol) for port in ports)
    for index, port in enumerate(ports):
        if names[port.name] > 1:
            yield _invalid(("spec", "ports", index, "name"), f"The port name {port.name!r} is used more than once.")
        if numbers[port.port, port.protocol] > 1:
            message = f"The port {port.port}/{port.protocol} is used more than once."
            yield _invalid(("spec", "ports", index, "port"), message)


def _invalid(path: Path, message: str) -> Finding:
    return Finding(codes.INVALID_VALUE, path, message)
