"""The address of each Ingress, written once a proxy has proved that it serves it.

``status.loadBalancer`` is what people and DNS controllers act on, so it says nothing before an Envoy has acknowledged
the Ingress' listeners and routes. From then on it stays while the Ingress has listeners, whoever connects or restarts:
an address that comes and goes is worse than one that is a moment early.
"""

from __future__ import annotations

from asyncio import TaskGroup
from collections.abc import AsyncIterator, Callable, Iterable, Mapping

from nodegate.model.changes import Batch, ObjectChange
from nodegate.model.generated_service import INGRESS_ANNOTATION, MANAGER, is_ours, service_name
from nodegate.model.objects import Ingress, LoadBalancerIngress, Node, Object, Service
from nodegate.model.refs import Kind, Ref
from nodegate.status.requests import Cluster, Requests
from nodegate.status.services import ports_by_ingress
from nodegate.status.writer import note

MOST_NODES = 16
"""So many nodes' addresses are shown at most; each of them serves every Ingress."""

_NODE_ADDRESSES = ("ExternalIP", "InternalIP")

Name = tuple[str, str]
"""Namespace and name of an Ingress."""


class AddressWriter:
    """Writes and clears addresses. It is told what the cluster holds, and asks whether an Ingress is proved.

    What it clears is what nodegate wrote: the Ingress had a Service of ours, or was written in this process.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._requests = Requests(cluster)
        self._ingresses: dict[Ref, Object] = {}
        self._services: dict[Ref, Object] = {}
        self._nodes: dict[Ref, Object] = {}
        self._proved: set[Name] = set()
        self._ours: set[Name] = set()
        self._sent: dict[Name, tuple[Object, tuple[LoadBalancerIngress, ...]]] = {}

    async def watching(self, batches: AsyncIterator[Batch]) -> AsyncIterator[Batch]:
        """Pass the source's batches on, and note what they say of what is written here."""
        async for batch in batches:
            self.observe(batch.changes)
            yield batch

    def observe(self, changes: Iterable[ObjectChange]) -> None:
        """Note the state of Ingresses, of their Services and of nodes."""
        for change in changes:
            kind, namespace, name = change.ref
            if kind is Kind.INGRESS:
                note(self._ingresses, change)
            elif kind is Kind.NODE:
                note(self._nodes, change)
            elif kind is Kind.SERVICE and name.startswith(f"{MANAGER}-"):
                note(self._services, change)
                service = self._services.get(change.ref)
                if service is not None and is_ours(service):
                    self._ours.add((namespace, service.metadata.annotations.get(INGRESS_ANNOTATION, "")))

    async def write(
        self, ports: Mapping[str, int], listeners: Iterable[str], is_proved: Callable[[Mapping[str, int]], bool]
    ) -> bool:
        """Write what differs; return False when something failed and this is to be called again.

        ``is_proved`` is asked with the listeners of one Ingress (name -> port): does a proxy serve all of them?
        """
        wanted = {_owner(listener) for listener in listeners}
        self._proved &= wanted
        for name, of_ingress in ports_by_ingress(ports).items():
            if name in wanted and name not in self._proved and is_proved(_full(name, of_ingress)):
                self._proved.add(name)
        async with TaskGroup() as tasks:
            running = [tasks.create_task(self._apply(*one)) for one in self._differences(wanted)]
        return all(task.result() for task in running)

    def _differences(self, wanted: set[Name]) -> list[tuple[Name, Ingress, tuple[LoadBalancerIngress, ...]]]:
        found = []
        for name in sorted(self._proved | (self._ours - wanted)):
            ingress = self._ingresses.get(Ref(Kind.INGRESS, *name))
            if not isinstance(ingress, Ingress):
                continue
            addresses = self._addresses(name) if name in self._proved else ()
            if ingress.status.load_balancer.ingress != addresses and self._sent.get(name) != (ingress, addresses):
                found.append((name, ingress, addresses))
        return found

    def _addresses(self, name: Name) -> tuple[LoadBalancerIngress, ...]:
        """Return the addresses of the Ingress' Service, or of the nodes where nothing gives it any."""
        namespace, ingress = name
        service = self._services.get(Ref(Kind.SERVICE, namespace, service_name(ingress)))
        if isinstance(service, Service) and is_ours(service) and service.status.load_balancer.ingress:
            listed = service.status.load_balancer.ingress
            return tuple(LoadBalancerIngress(ip=one.ip, hostname=one.hostname) for one in listed)
        nodes = [node for _, node in sorted(self._nodes.items()) if isinstance(node, Node)]
        addresses = [address for address in map(_address_of, nodes) if address]
        return tuple(LoadBalancerIngress(ip=address) for address in addresses[:MOST_NODES])

    async def _apply(self, name: Name, ingress: Ingress, addresses: tuple[LoadBalancerIngress, ...]) -> bool:
        body = {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "Ingress",
            "metadata": {"namespace": ingress.metadata.namespace, "name": ingress.metadata.name},
            "status": {"loadBalancer": {"ingress": [_shown(address) for address in addresses]}} if addresses else {},
        }
        if not await self._requests.apply(ingress.ref, body, subresource="status"):
            return False
        self._sent[name] = (ingress, addresses)
        if addresses:
            self._ours.add(name)
        else:
            self._ours.discard(name)
        return True


def _owner(listener: str) -> Name:
    namespace, _, rest = listener.partition("/")
    return namespace, rest.rpartition("/")[0]


def _full(name: Name, ports: Mapping[str, int]) -> dict[str, int]:
    return {"/".join((*name, scheme)): port for scheme, port in ports.items()}


def _address_of(node: Node) -> str:
    """Return a node's address for the outside, else the one inside."""
    by_type = {address.type: address.address for address in reversed(node.status.addresses)}
    return next((by_type[kind] for kind in _NODE_ADDRESSES if kind in by_type), "")


def _shown(address: LoadBalancerIngress) -> dict[str, str]:
    return {"ip": address.ip} if address.ip else {"hostname": address.hostname}
