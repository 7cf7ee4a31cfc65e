"""ClusterLoadAssignments from EndpointSlices (ingress.md 21 to 27)."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from ipaddress import AddressValueError, IPv6Address

from envoy.config.core.v3 import health_check_pb2
from envoy.config.endpoint.v3 import endpoint_components_pb2, endpoint_pb2
from google.protobuf.wrappers_pb2 import UInt32Value

from nodegate.model.objects import Endpoint, EndpointPort, EndpointSlice, Service, ServicePort
from nodegate.model.problem import Problem, ProblemCode
from nodegate.model.refs import Ref
from nodegate.snapshot.facts import NodeFacts
from nodegate.snapshot.resource import Entry, Faceted, Resource, content_hash, field_bytes
from nodegate.snapshot.type_urls import ENDPOINT
from nodegate.translate import codes
from nodegate.translate.names import ClusterKey, service_ref
from nodegate.translate.options import Locality
from nodegate.translate.packing import around_blanks, blank, serialised
from nodegate.translate.upstreams import Upstream

_FAMILIES = ("IPv4", "IPv6")
_OCTET = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_IPV4 = re.compile(rf"(?:{_OCTET}\.){{3}}{_OCTET}")
_DISTRIBUTIONS = {
    "PreferClose": Locality.ZONE,
    "PreferSameZone": Locality.ZONE,
    "PreferSameNode": Locality.NODE,
}
"""What ``spec.trafficDistribution`` of a Service asks for; the annotation wins."""

# Envoy moves requests to the next priority by the share of endpoints that take none, which here are only the draining
# ones: with this factor the first priority keeps them all while one in a hundred of its endpoints is ready.
_OVERPROVISIONING = 10_000
_CLUSTER_NAME, _ENDPOINTS = 1, 2  # fields of ClusterLoadAssignment


class State(IntEnum):
    """Whether an endpoint takes requests; the higher of two wins when an address is listed twice."""

    UNUSABLE = 0
    DRAINING = 1
    READY = 2


Address = tuple[str, int]
"""IP address and port."""

Place = tuple[State, str, str]
"""The state of an endpoint, its node and its zone; the place of an unknown node or zone is empty."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """A built ClusterLoadAssignment, and the problems seen on the way, by object."""

    entry: Entry
    problems: Mapping[Ref, tuple[Problem, ...]]


class _Problems:
    """What is found wrong with a Service's endpoints."""

    def __init__(self) -> None:
        self._found: dict[Ref, set[Problem]] = {}

    def report(self, ref: Ref, code: ProblemCode, field: str, message: str) -> None:
        self._found.setdefault(ref, set()).add(code.found(ref, field, message))

    def by_object(self) -> dict[Ref, tuple[Problem, ...]]:
        return {ref: tuple(sorted(found)) for ref, found in self._found.items()}


def assignment(
    key: ClusterKey, upstream: Upstream | None, slices: Iterable[EndpointSlice], *, closed: bool = False
) -> Assignment:
    """Return the ClusterLoadAssignment of one port of a Service.

    It is empty if anything is missing, and where ``closed`` says that nobody may answer.
    """
    ordered = sorted(slices, key=lambda endpoint_slice: endpoint_slice.metadata.name)
    name, problems = key.name, _Problems()
    found = upstream.port(key.port) if upstream and not closed else None
    usable: dict[Address, Place] = {}
    if upstream is not None and found is not None:
        usable = _usable(_of_one_family(upstream.service, found, ordered, problems))
        if not usable and not upstream.is_external:
            message = f"No endpoint of port {key.port} is ready."
            problems.report(upstream.service.ref, codes.NO_ENDPOINTS, "spec.ports", message)
    ref = upstream.service.ref if upstream else service_ref(key.service)
    causes = (*(endpoint_slice.ref for endpoint_slice in ordered), ref)
    locality = _locality(upstream) if upstream else Locality.ANY
    if locality is Locality.ANY or not usable:
        body = _serialised(name, usable, Locality.ANY, ("", ""))
        return Assignment(Resource(ENDPOINT, name, body, causes=causes, empty=not usable), problems.by_object())
    return Assignment(_by_place(name, usable, locality, causes), problems.by_object())


def _locality(upstream: Upstream) -> Locality:
    asked = upstream.options.locality
    if asked is not None:
        return asked
    return _DISTRIBUTIONS.get(upstream.service.spec.traffic_distribution or "", Locality.ANY)


def _by_place(name: str, usable: dict[Address, Place], locality: Locality, causes: tuple[Ref, ...]) -> Faceted:
    """Return an assignment that depends on where the client is; places without an endpoint are all one."""
    nodes = frozenset(node for _, node, _ in usable.values()) if locality is Locality.NODE else frozenset()
    zones = frozenset(zone for _, _, zone in usable.values())

    def facet_of(facts: NodeFacts) -> tuple[str, str]:
        return (facts.node if facts.node in nodes else "", facts.zone if facts.zone in zones else "")

    def make(facet: Hashable) -> bytes:
        assert isinstance(facet, tuple)  # noqa: S101  # what facet_of returns
        return _serialised(name, usable, locality, facet)

    version = content_hash(repr((name, locality.value, sorted(usable.items()))).encode())
    return Faceted(ENDPOINT, name, version, facet_of, make, causes=causes)


def _of_one_family(
    service: Service, port: ServicePort, slices: Iterable[EndpointSlice], problems: _Problems
) -> dict[Address, Place]:
    """Return the endpoints of one address family: slices of two families name the same Pods (ingress.md 26)."""
    families: dict[str, dict[Address, Place]] = {family: {} for family in _preferred(service)}
    for endpoint_slice in slices:
        family = families.get(endpoint_slice.address_type)
        if family is None:
            message = f"Endpoints of addressType {endpoint_slice.address_type!r} are not served."
            problems.report(endpoint_slice.ref, codes.ADDRESS_TYPE_NOT_SERVED, "addressType", message)
            continue
        for address, place in _endpoints(endpoint_slice, port, problems):
            known = family.get(address)
            if known is None or known < place:
                family[address] = place
    for endpoints in families.values():
        if any(state for state, _, _ in endpoints.values()):
            return endpoints
    return {}


def _preferred(service: Service) -> list[str]:
    first = service.spec.ip_families[0] if service.spec.ip_families else "IPv4"
    return sorted(_FAMILIES, key=lambda family: family != first)


def _endpoints(
    endpoint_slice: EndpointSlice, port: ServicePort, problems: _Problems
) -> Iterator[tuple[Address, Place]]:
    numbers = tuple(_port_numbers(endpoint_slice, port.name, problems))
    for position, endpoint in enumerate(endpoint_slice.endpoints if numbers else ()):
        place = (_state(endpoint), endpoint.node_name or "", endpoint.zone or "")
        for ip in endpoint.addresses[:1]:  # further addresses are the same endpoint
            if _is_address(ip, endpoint_slice.address_type):
                for number in numbers:
                    yield (ip, number), place
                continue
            field = f"endpoints[{position}].addresses[0]"
            message = f"{ip!r} is no {endpoint_slice.address_type} address."
            problems.report(endpoint_slice.ref, codes.INVALID_ENDPOINT, field, message)


def _port_numbers(endpoint_slice: EndpointSlice, name: str, problems: _Problems) -> Iterator[int]:
    """Yield the numbers under which this slice's endpoints offer the Service port of this name (ingress.md 21)."""
    for position, port in enumerate(endpoint_slice.ports):
        if not _carries(port, name) or port.port is None:
            continue
        if 0 < port.port <= 65_535:
            yield port.port
        else:
            message = f"{port.port} is no port."
            problems.report(endpoint_slice.ref, codes.INVALID_ENDPOINT, f"ports[{position}].port", message)


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


def _usable(endpoints: dict[Address, Place]) -> dict[Address, Place]:
    """Return the endpoints to send. Terminating ones take new requests only while none is ready (ingress.md 25)."""
    states = {state for state, _, _ in endpoints.values()}
    if len(states) == 1 and State.READY in states:
        return endpoints  # which is nearly always so
    usable = {address: place for address, place in endpoints.items() if place[0] is not State.UNUSABLE}
    if State.READY in states:
        return usable
    return {address: (State.READY, node, zone) for address, (_, node, zone) in usable.items()}


def _is_address(text: str, address_type: str) -> bool:
    if address_type == "IPv4":
        return _IPV4.fullmatch(text) is not None  # a tenth of what IPv4Address takes, and this is done for every Pod
    try:
        IPv6Address(text)
    except AddressValueError:
        return False
    return "%" not in text  # a scope means something on one machine only


def _serialised(name: str, usable: dict[Address, Place], locality: Locality, client: tuple[str, str]) -> bytes:
    groups: dict[int, list[bytes]] = {}
    for (ip, port), (state, node, zone) in sorted(usable.items()):
        before, after = _around_address(len(ip), port, state)
        group = groups.setdefault(_distance(locality, client, node, zone), [])
        group.append(before + ip.encode() + after)
    parts = [field_bytes(_CLUSTER_NAME, name.encode())]
    for priority, distance in enumerate(sorted(groups)):  # priorities have to follow each other without a gap
        parts.append(field_bytes(_ENDPOINTS, b"".join(groups[distance]) + _priority(priority)))
    if len(groups) > 1:
        parts.append(_POLICY)
    return b"".join(parts)


@lru_cache(maxsize=4096)
def _around_address(size: int, port: int, state: State) -> tuple[bytes, ...]:
    """Return what stands in a locality's bytes before and after an endpoint's address of this size.

    With a message for each endpoint it took 11 us for ten of them in place of 5.
    """
    locality = endpoint_components_pb2.LocalityLbEndpoints()
    endpoint = locality.lb_endpoints.add()
    socket_address = endpoint.endpoint.address.socket_address
    socket_address.address = blank(size)
    socket_address.port_value = port
    if state is State.DRAINING:
        endpoint.health_status = health_check_pb2.DRAINING
    return around_blanks(locality, size)


def _priority(priority: int) -> bytes:
    return serialised(endpoint_components_pb2.LocalityLbEndpoints(priority=priority)) if priority else b""


def _distance(locality: Locality, client: tuple[str, str], node: str, zone: str) -> int:
    """Return how far an endpoint is: 0 on the client's node, 1 in its zone, 2 elsewhere; 0 where that is not asked."""
    client_node, client_zone = client
    if locality is Locality.ANY:
        return 0
    if locality is Locality.NODE and client_node and node == client_node:
        return 0
    return 1 if client_zone and zone == client_zone else 2


_POLICY = serialised(
    endpoint_pb2.ClusterLoadAssignment(
        policy=endpoint_pb2.ClusterLoadAssignment.Policy(overprovisioning_factor=UInt32Value(value=_OVERPROVISIONING))
    )
)
