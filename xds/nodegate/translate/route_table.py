"""Route configurations, joined from virtual hosts.

On shared listeners a route configuration has all hosts of a cluster and is joined again and again, at little cost when
one host changes: what it names is counted as hosts come and go and kept in order, so that a changed host costs its own
routes and one concatenation. Sorting everything anew took ten times as long at 10,000 hosts. The listeners of a single
Ingress have few hosts, and no such table: 10,000 of them took 15 MB.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Generic, TypeVar

from envoy.config.route.v3 import route_pb2

from nodegate.model.refs import Ref
from nodegate.snapshot.resource import Key, Resource, content_hash, field_bytes, set_version
from nodegate.snapshot.type_urls import CLUSTER, ROUTE
from nodegate.translate.connection_manager import CHAIN_HEADER, SNI_HEADER
from nodegate.translate.names import Scheme
from nodegate.translate.packing import serialised
from nodegate.translate.virtual_hosts import VirtualHost

Item = TypeVar("Item", str, Key, Ref)

_NAME_FIELD = 1  # RouteConfiguration.name


def route_configuration(name: str, scheme: Scheme, hosts: Mapping[str, VirtualHost]) -> Resource:
    """Return the route configuration of some hosts; what a :class:`RouteTable` of the same hosts returns."""
    ordered = [hosts[host] for host in sorted(hosts) if scheme in hosts[host].elements]
    elements = [host.elements[scheme] for host in ordered]
    refs = {ref for host in ordered for ref in _clusters(host, scheme)}
    causes = {cause for host in ordered for cause in host.causes}
    digest = sum(element.digest for element in elements)
    return _joined(
        name, scheme, [element.entry for element in elements], digest, tuple(sorted(refs)), tuple(sorted(causes))
    )


class RouteTable:
    """The virtual hosts of one listener that many Ingresses share."""

    def __init__(self, name: str, scheme: Scheme) -> None:
        self.name = name
        self._scheme = scheme
        self._hosts: dict[str, VirtualHost] = {}
        self._order: list[str] = []  # the hosts, ordered, and for each its bytes
        self._entries: list[bytes] = []
        self._digest = 0  # of all of them: hashing the whole anew would cost more than joining it
        self._refs = _Counted[Key]()
        self._causes = _Counted[Ref]()

    def put(self, host: str, now: VirtualHost | None) -> None:
        """Put a virtual host in the place of the one of this host, or, with None, take it out."""
        before = self._hosts.pop(host, None)
        if before is not None:
            self._refs.drop(_clusters(before, self._scheme))
            self._causes.drop(before.causes)
            self._digest -= before.elements[self._scheme].digest
        if now is not None:
            self._hosts[host] = now
            self._refs.add(_clusters(now, self._scheme))
            self._causes.add(now.causes)
            self._digest += now.elements[self._scheme].digest
        place = bisect_left(self._order, host)
        if before is not None:
            del self._order[place], self._entries[place]
        if now is not None:
            self._order.insert(place, host)
            self._entries.insert(place, now.elements[self._scheme].entry)

    def resource(self) -> Resource:
        """Return the route configuration as it is now."""
        return _joined(self.name, self._scheme, self._entries, self._digest, self._refs.ordered, self._causes.ordered)


def _joined(
    name: str, scheme: Scheme, entries: Iterable[bytes], digest: int, refs: tuple[Key, ...], causes: tuple[Ref, ...]
) -> Resource:
    """Return a route configuration. Its version is made of the ``digest`` of its hosts, which is cheaper to keep."""
    head, end = field_bytes(_NAME_FIELD, name.encode()), _END[scheme]
    version = content_hash(head, set_version(digest).encode(), end)
    return Resource(ROUTE, name, b"".join((head, *entries, end)), refs=refs, causes=causes, version=version)


def _clusters(host: VirtualHost, scheme: Scheme) -> list[Key]:
    return [(CLUSTER, key.name) for key in host.elements[scheme].clusters]


class _Counted(Generic[Item]):
    """Things that several hosts name, in order, each once."""

    def __init__(self) -> None:
        self._counts: Counter[Item] = Counter()
        self._order: list[Item] = []
        self._ordered: tuple[Item, ...] | None = ()

    @property
    def ordered(self) -> tuple[Item, ...]:
        """Everything that is named; the very same tuple while nothing changes."""
        if self._ordered is None:
            self._ordered = tuple(self._order)
        return self._ordered

    def add(self, items: Iterable[Item]) -> None:
        """Note that another host names these."""
        for item in items:
            self._counts[item] += 1
            if self._counts[item] == 1:
                insort(self._order, item)
                self._ordered = None

    def drop(self, items: Iterable[Item]) -> None:
        """Note that one host less names these."""
        for item in items:
            self._counts[item] -= 1
            if not self._counts[item]:
                del self._counts[item]
                del self._order[bisect_left(self._order, item)]
                self._ordered = None


# Hosts of an Ingress have no port, but `Host: h:8080` names the same host (ingress.md 2). All field numbers are above
# that of virtual_hosts, so the concatenation is what serialising the whole message gives.
_END = {
    Scheme.HTTP: serialised(route_pb2.RouteConfiguration(ignore_port_in_host_matching=True)),
    Scheme.HTTPS: serialised(
        route_pb2.RouteConfiguration(
            ignore_port_in_host_matching=True, request_headers_to_remove=[CHAIN_HEADER, SNI_HEADER]
        )
    ),
}
