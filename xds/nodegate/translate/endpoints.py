"""ClusterLoadAssignments from EndpointSlices (ingress.md 21 to 27)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from ipaddress import AddressValueError, IPv4Address, IPv6Address

from envoy.config.core.v3 import health_check_pb2
from envoy.config.endpoint.v3 import endpoint_pb2

from nodegate.model.objects import Endpoint, EndpointPort, EndpointSlice, Service, ServicePort
from nodegate.model.problem import Problem
from nodegate.model.refs import Ref
from nodegate.snapshot.resource import Resource
from nodegate.snapshot.type_urls import ENDPOINT
from nodegate.translate import codes
from nodegate.translate.backends import service_port
from nodegate.translate.names import ClusterKey, service_ref
from nodegate.translate.packing import serialised

_FAMILIES: dict[str, type[IPv4Address | IPv6Address]] = {"IPv4": IPv4Address, "IPv6": IPv6Address}


class State(IntEnum):
    """Whether an endpoint takes requests; the higher of two wins when an address is listed twice."""

    UNUSABLE = 0
    DRAINING = 1
    READY = 2


Address = tuple[str, int]
"""IP address and port."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """A built ClusterLoadAssignment, and the problems seen on the way, by object."""

    resource: Resource
    problems: Mapping[Ref, tuple[Problem, ...]]


def assignment(key: ClusterKey, service: Service | None, slices: Iterable[EndpointSlice]) -> Assignment:
    """Return the ClusterLoadAssignment for one port of a Service; it is empty if anything is missing."""
    ordered = sorted(slices, key=lambda endpoint_slice: endpoint_slice.metadata.name)
    problems: dict[Ref, list[Problem]] = {}
    found = service_port(service, key.port) if service else None
    usable = _usable(_of_one_family(service, found, ordered, problems)) if service and found else {}
    if service and found and not usable:
        message = f"No endpoint of port {key.port} is ready."
        problems.setdefault(service.ref, []).append(codes.NO_ENDPOINTS.found(service.ref, "spec.ports", message))
    causes = (*(endpoint_slice.ref for endpoint_slice in ordered), service_ref(key.service))
    body = _serialised(key.name, usable)
    resource = Resource(ENDPOINT, key.name, body, causes=causes, empty=not usable)
    return Assignment(resource, {ref: tuple(sorted(set(listed))) for ref, listed in problems.items()})


def _of_one_family(
    service: Service, port: ServicePort, slices: Iterable[EndpointSlice], problems: dict[Ref, list[Problem]]
) -> dict[Address, State]:
    """Return the endpoints of one address family: slices of two families name the same Pods (ingress.md 26)."""
    families: dict[str, dict[Address, State]] = {family: {} for family in _preferred(service)}
    for endpoint_slice in slices:
        family = families.get(endpoint_slice.address_type)
        if family is None:
            continue
        for address, state in _endpoints(endpoint_slice, port, problems):
            family[address] = max(state, family.get(address, State.UNUSABLE))
    for endpoints in families.values():
        if any(endpoints.values()):
            return endpoints
    return {}


def _preferred(service: Service) -> list[str]:
    first = service.spec.ip_families[0] if service.spec.ip_families else "IPv4"
    return sorted(_FAMILIES, key=lambda family: family != first)


def _endpoints(
    endpoint_slice: EndpointSlice, port: ServicePort, problems: dict[Ref, list[Problem]]
) -> Iterator[tuple[Address, State]]:
    for number in _port_numbers(endpoint_slice, port.name, problems):
        for position, endpoint in enumerate(endpoint_slice.endpoints):
            state = _state(endpoint)
            for ip in endpoint.addresses[:1]:  # further addresses are the same endpoint
                if _is_address(ip, endpoint_slice.address_type):
                    yield (ip, number), state
                    continue
                field = f"endpoints[{position}].addresses[0]"
                _report(endpoint_slice, field, f"{ip!r} is no {endpoint_slice.address_type} address.", problems)


def _port_numbers(endpoint_slice: EndpointSlice, name: str, problems: dict[Ref, list[Problem]]) -> Iterator[int]:
    """Yield the numbers under which this slice's endpoints offer the Service port of this name (ingress.md 21)."""
    for position, port in enumerate(endpoint_slice.ports):
        if not _carries(port, name) or port.port is None:
            continue
        if 0 < port.port <= 65_535:
            yield port.port
        else:
            _report(endpoint_slice, f"ports[{position}].port", f"{port.port} is no port.", problems)


def _carries(port: EndpointPort, name: str) -> bool:
    return (port.name or "") == name and (port.protocol or "TCP") == "TCP"


def _state(endpoint: Endpoint) -> State:
    """Return whether an endpoint may be used; what is not said is assumed (ingress.md 24)."""
    conditions = endpoint.conditions
    ready = conditions.ready is not False
    if ready:
        return State.READY
    serving = ready if conditions.serving is None else conditions.serving
    return State.DRAINING if serving and conditions.terminating else State.UNUSABLE


def _usable(endpoints: dict[Address, State]) -> dict[Address, State]:
    """Return the endpoints to send. Terminating ones take new requests only while none is ready (ingress.md 25)."""
    usable: dict[Address, State] = {address: state for address, state in endpoints.items() if state}
    if State.READY in usable.values():
        return usable
    return dict.fromkeys(usable, State.READY)


def _is_address(text: str, address_type: str) -> bool:
    try:
        _FAMILIES[address_type](text)
    except AddressValueError:
        return False
    return "%" not in text  # a scope means something on one machine only


def _report(endpoint_slice: EndpointSlice, field: str, message: str, problems: dict[Ref, list[Problem]]) -> None:
    ref = endpoint_slice.ref
    problems.setdefault(ref, []).append(codes.INVALID_ENDPOINT.found(ref, field, message))


def _serialised(name: str, usable: dict[Address, State]) -> bytes:
    message = endpoint_pb2.ClusterLoadAssignment(cluster_name=name)
    if usable:
        locality = message.endpoints.add()
        for (ip, port), state in sorted(usable.items()):
            endpoint = locality.lb_endpoints.add()
            socket_address = endpoint.endpoint.address.socket_address
            socket_address.address = ip
            socket_address.port_value = port
            if state is State.DRAINING:
                endpoint.health_status = health_check_pb2.DRAINING
    return serialised(message)
