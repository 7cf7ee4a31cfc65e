"""What a Service asks the node agents for: its frontends, and who may use which (redirect 1).

Who may use which follows kube-proxy (``pkg/proxy/serviceport.go`` and its ``KUBE-PROXY-FIREWALL`` chain, nftables'
``firewall-ips``): source ranges restrict the load balancer's addresses, and neither cluster IPs, external IPs nor
NodePorts. Unlike there, a range that cannot be read lets nobody in, and neither does a family without any range.

An address of a family that listeners do not bind is left out: an agent would wait for its socket for ever.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import NamedTuple

from nodegate.model.objects import Service, ServicePort
from nodegate.model.problem import Problem
from nodegate.model.refs import Ref
from nodegate.snapshot.resource import Resource
from nodegate.snapshot.type_urls import LISTENER, REDIRECT
from nodegate.translate import codes
from nodegate.translate.ingress_class import created
from nodegate.translate.names import ObjectName
from nodegate.translate.packing import serialised
from nodegate.translate.quantities import UnreadableError, network
from nodegate.translate.settings import Families
from nodegate_protos import redirect_pb2

SOURCE_RANGES_ANNOTATION = "service.beta.kubernetes.io/load-balancer-source-ranges"
"""What the API had before ``spec.loadBalancerSourceRanges``; it holds where that field is empty."""

_PROXY_MODE = "Proxy"  # status.loadBalancer.ingress[].ipMode: packets arrive with another destination
_MOST_PORTS = 1 << 16


class Place(NamedTuple):
    """Where clients connect to: an address and a port, or, without an address, a port of every node."""

    address: str
    port: int

    def __str__(self) -> str:
        """Return the place in words."""
        return f"{self.address} port {self.port}" if self.address else f"node port {self.port}"


@dataclass(frozen=True, slots=True)
class RedirectKey:
    """The identity of a redirect: a Service and one of its ports. ``name`` is that of the resource."""

    service: ObjectName
    port: int

    @property
    def name(self) -> str:
        """``namespace/service/port``."""
        return f"{self.service[0]}/{self.service[1]}/{self.port}"


@dataclass(frozen=True, slots=True)
class Frontend:
    """One place of a Service: whether only clients in the source ranges may use it, and the field that says it."""

    restricted: bool
    field: str


@dataclass(frozen=True, slots=True)
class Asked:
    """What one port of a Service asks for.

    ``age`` orders those that ask for one place, oldest first. ``listener`` is the name of the one that gets it all,
    ``listener_port`` its port; ``causes`` are the objects the redirect is made from.
    """

    key: RedirectKey
    age: tuple[datetime, ObjectName, int]
    frontends: dict[Place, Frontend]
    source_ranges: tuple[str, ...]
    listener: str
    listener_port: int
    causes: tuple[Ref, ...]
    problems: tuple[Problem, ...]


def asked(
    service: Service, key: RedirectKey, listener: tuple[str, int], causes: tuple[Ref, ...], families: Families
) -> Asked:
    """Return what a port of a Service asks for; ``listener`` is its name and port, which binds these ``families``.

    A place that cannot be is left out and is a problem.
    """
    reader = _Reader(service, families)
    declared, ranges = reader.ranges()
    frontends = dict(reader.frontends(key.port, restricted=declared))
    age = (created(service.metadata.creation_timestamp), key.service, key.port)
    return Asked(key, age, frontends, ranges, *listener, causes, tuple(reader.problems))


def resource(wanted: Asked, places: Iterable[Place]) -> Resource:
    """Return the redirect of these places, which are some of those it asks for."""
    message = redirect_pb2.ServiceRedirect(name=wanted.key.name, source_ranges=wanted.source_ranges)
    for place in sorted(places):
        frontend = message.frontends.add(
            protocol=redirect_pb2.Frontend.PROTOCOL_TCP, restricted=wanted.frontends[place].restricted
        )
        if place.address:
            frontend.address.ip, frontend.address.port = place
        else:
            frontend.node_port = place.port
    message.listener.name, message.listener.port = wanted.listener, wanted.listener_port
    refs = ((LISTENER, wanted.listener),)
    return Resource(REDIRECT, wanted.key.name, serialised(message), refs=refs, causes=wanted.causes)


def written_ranges(service: Service) -> Iterator[tuple[str, str]]:
    """Yield the source ranges of a Service as they are written, each with its field."""
    if service.spec.load_balancer_source_ranges:
        for number, text in enumerate(service.spec.load_balancer_source_ranges):
            yield f"spec.loadBalancerSourceRanges[{number}]", text.strip()
    else:
        value = service.metadata.annotations.get(SOURCE_RANGES_ANNOTATION, "").strip()
        for text in value.split(",") if value else ():
            yield f"metadata.annotations[{SOURCE_RANGES_ANNOTATION}]", text.strip()


class _Reader:
    """Reads one Service and collects its problems on the way."""

    def __init__(self, service: Service, families: Families) -> None:
        self._service = service
        self._families = families
        self.problems: list[Problem] = []

    def ranges(self) -> tuple[bool, tuple[str, ...]]:
        """Return whether source ranges are declared, and those of them that can be read."""
        found = set()
        written = list(written_ranges(self._service))
        for field, text in written:
            try:
                found.add(network(text))
            except UnreadableError as error:
                self.problems.append(codes.INVALID_SOURCE_RANGE.found(self._service.ref, field, str(error)))
        return bool(written), tuple(sorted(found))

    def frontends(self, port: int, *, restricted: bool) -> Iterator[tuple[Place, Frontend]]:
        """Yield the places of a port; of a place that is there twice, the last one is the restricted one."""
        for number, listed in enumerate(self._service.spec.ports):
            if listed.port == port and listed.protocol == "TCP" and self._service.spec.type != "ExternalName":
                for field, text in self._open_addresses():
                    yield from self._at(field, text, port, restricted=False)
                yield from self._node_port(listed, f"spec.ports[{number}].nodePort")
                for field, text in self._load_balancer_addresses():
                    yield from self._at(field, text, port, restricted=restricted)

    def _open_addresses(self) -> Iterator[tuple[str, str]]:
        spec = self._service.spec
        if spec.cluster_ips:
            cluster_ips = [(f"spec.clusterIPs[{number}]", text) for number, text in enumerate(spec.cluster_ips)]
        else:
            cluster_ips = [("spec.clusterIP", spec.cluster_ip)]
        yield from ((field, text) for field, text in cluster_ips if text not in {"", "None"})
        yield from ((f"spec.externalIPs[{number}]", text) for number, text in enumerate(spec.external_ips))

    def _load_balancer_addresses(self) -> Iterator[tuple[str, str]]:
        for number, listed in enumerate(self._service.status.load_balancer.ingress):
            if listed.ip and listed.ip_mode != _PROXY_MODE:
                yield f"status.loadBalancer.ingress[{number}].ip", listed.ip

    def _at(self, field: str, text: str, port: int, *, restricted: bool) -> Iterator[tuple[Place, Frontend]]:
        try:
            address = _address(text)
        except ValueError as error:
            self.problems.append(codes.INVALID_FRONTEND.found(self._service.ref, field, f"{error}."))
            return
        if family := self._unbound_family(address):
            message = f"{address} is an {family} address, and no listener binds one."
            self.problems.append(codes.FRONTEND_FAMILY_NOT_BOUND.found(self._service.ref, field, message))
        else:
            yield Place(str(address), port), Frontend(restricted, field)

    def _unbound_family(self, address: IPv4Address | IPv6Address) -> str:
        """Return the family of an address in words, if listeners do not bind it; else nothing."""
        family = Families.IPV6 if address.version == 6 else Families.IPV4
        return "" if self._families in {family, Families.DUAL} else f"IPv{address.version}"

    def _node_port(self, listed: ServicePort, field: str) -> Iterator[tuple[Place, Frontend]]:
        """Yield the NodePort, if there is one: 0 is none, as where ``allocateLoadBalancerNodePorts`` is false."""
        if 0 < listed.node_port < _MOST_PORTS:
            yield Place("", listed.node_port), Frontend(restricted=False, field=field)


def _address(text: str) -> IPv4Address | IPv6Address:
    """Return an address; raises ValueError, which says why clients cannot connect to it."""
    address = ip_address(text)
    if isinstance(address, IPv6Address) and (address.scope_id or address.ipv4_mapped):
        raise ValueError(f"{text} has a zone or is an IPv4 address in the form of IPv6")
    if address.is_unspecified or address.is_multicast or address.is_loopback:
        raise ValueError(f"{text} is not an address that clients of a node connect to")
    return address
