"""EndpointSlice (``pkg/apis/discovery/validation``)."""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Iterator

from nodegate.model.objects import Endpoint, EndpointPort, EndpointSlice
from nodegate.source import codes
from nodegate.source.finding import Finding, Path
from nodegate.source.validation.names import (
    dns_label_fault,
    dns_subdomain_fault,
    ip_fault,
    port_number_fault,
    qualified_name_fault,
)
from nodegate.source.validation.service import PROTOCOLS

_VERSIONS = {"IPv4": 4, "IPv6": 6}
_ADDRESS_TYPES = ("FQDN", *_VERSIONS)
_MOST_ENDPOINTS = 1000
_MOST_ADDRESSES = 100
_MOST_PORTS = 20_000


def check_endpoint_slice(endpoint_slice: EndpointSlice) -> Iterator[Finding]:
    """Yield what an API server refuses in an EndpointSlice."""
    if endpoint_slice.address_type not in _ADDRESS_TYPES:
        message = f"addressType {endpoint_slice.address_type!r} is none of {', '.join(_ADDRESS_TYPES)}."
        yield _invalid(("addressType",), message)
        return
    yield from _too_many(len(endpoint_slice.endpoints), _MOST_ENDPOINTS, ("endpoints",))
    yield from _too_many(len(endpoint_slice.ports), _MOST_PORTS, ("ports",))
    for index, endpoint in enumerate(endpoint_slice.endpoints):
        yield from _endpoint(endpoint, endpoint_slice.address_type, ("endpoints", index))
    names = Counter(port.name or "" for port in endpoint_slice.ports)
    for index, port in enumerate(endpoint_slice.ports):
        yield from _port(port, ("ports", index), twice=names[port.name or ""] > 1)


def _too_many(count: int, limit: int, path: Path) -> Iterator[Finding]:
    if count > limit:
        message = f"There are {count} {path[-1]}; {limit} are allowed."
        yield Finding(codes.INVALID_VALUE, path, message, "Split it: a Service may have several EndpointSlices.")


def _endpoint(endpoint: Endpoint, address_type: str, path: Path) -> Iterator[Finding]:
    if not endpoint.addresses:
        yield Finding(codes.MISSING_FIELD, (*path, "addresses"), "The endpoint must have an address.")
    yield from _too_many(len(endpoint.addresses), _MOST_ADDRESSES, (*path, "addresses"))
    for index, address in enumerate(endpoint.addresses):
        if fault := _address_fault(address, address_type):
            yield _invalid((*path, "addresses", index), f"The address {fault}.")
    if endpoint.hostname is not None and (fault := dns_label_fault(endpoint.hostname)):
        yield _invalid((*path, "hostname"), f"The host name {fault}.")


def _address_fault(address: str, address_type: str) -> str:
    if address_type == "FQDN":
        if "." not in address.removesuffix("."):
            return f"{address!r} is not a fully qualified DNS name: it has only one part"
        return dns_subdomain_fault(address.removesuffix("."))
    return ip_fault(address, _VERSIONS[address_type]) or _special_fault(address)


def _special_fault(address: str) -> str:
    """Refuse what can never be one endpoint; loopback and link-local can, on one machine."""
    value = ipaddress.ip_address(address)
    if value.is_unspecified or value.is_multicast:
        return f"{address!r} is {'unspecified' if value.is_unspecified else 'a multicast address'}, not one endpoint"
    return ""


def _port(port: EndpointPort, path: Path, *, twice: bool) -> Iterator[Finding]:
    if port.name and (fault := dns_label_fault(port.name)):
        yield _invalid((*path, "name"), f"The port name {fault}.")
    if twice:
        yield _invalid((*path, "name"), f"The port name {port.name or ''!r} is used more than once.")
    if port.port is not None and (fault := port_number_fault(port.port)):
        yield _invalid((*path, "port"), f"The port {fault}.")
    if port.protocol is not None and port.protocol not in PROTOCOLS:
        yield _invalid((*path, "protocol"), f"The protocol {port.protocol!r} is none of {', '.join(PROTOCOLS)}.")
    if port.app_protocol is not None and (fault := qualified_name_fault(port.app_protocol)):
        yield _invalid((*path, "appProtocol"), f"The application protocol {fault}.")


def _invalid(path: Path, message: str) -> Finding:
    return Finding(codes.INVALID_VALUE, path, message)
