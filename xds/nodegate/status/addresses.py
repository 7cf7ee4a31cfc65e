"""The address of each Ingress, written once it is proved that it is served.

``status.loadBalancer`` is what people and DNS controllers act on, so it says nothing before an Envoy has acknowledged
the Ingress' listeners and routes and, where there are agents, one has the way to them. From then on it stays while the
Ingress has listeners, whoever connects or restarts: an address that comes and goes is worse than one that is a moment
early. The replica that holds the stream writes it (DESIGN 3.6); the one that leads clears it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from time import perf_counter

from nodegate.model.changes import Delete, ObjectChange
from nodegate.model.generated_service import INGRESS_ANNOTATION, SHARED, frontend_of, is_ours, service_name
from nodegate.model.objects import Ingress, LoadBalancerIngress, Node, Object, Service
from nodegate.model.refs import Kind, Ref
from nodegate.ports import WrittenClaims
from nodegate.ports.contract import frontend_of_listener, listeners_of_frontend
from nodegate.snapshot.resource import Entry
from nodegate.snapshot.target import Target
from nodegate.snapshot.type_urls import ROUTE
from nodegate.status.pace import Buckets
from nodegate.status.proof import Client, Name, agent_keys, proves, proxy_keys, sharers
from nodegate.status.requests import Requests
from nodegate.status.work import Work

MOST_NODES = 16
"""So many nodes' addresses are shown at most; each of them serves every Ingress."""
LOOK_SECONDS = 0.02
"""How long answers of clients are gathered after each look at them; longer where a look takes long."""
_SHARE = 5  # of the time may go into looking, at most one part in so many

_NODE_ADDRESSES = ("ExternalIP", "InternalIP")
_SHARED_ROUTES = tuple(f"{SHARED}/{scheme}" for scheme in ("http", "https"))

Addresses = tuple[LoadBalancerIngress, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """Where listeners are: ``publish`` is the Service of the shared ones, ``host_ports`` theirs on the nodes, if so."""

    publish: tuple[str, str]
    host_ports: Mapping[str, int] = field(default_factory=dict)


class AddressWriter:
    """Writes and clears addresses.

    It is told what the cluster holds (:meth:`observe`), which listeners changed (:meth:`look_at`), and that there is a
    new target or that a client has answered (:meth:`look`). It clears what nodegate's field manager owns, so never what
    another controller has written (ingress.md 20). Who writes the same address again and again is not raced.
    """

    def __init__(
        self,
        requests: Requests,
        claims: WrittenClaims,
        place: Place,
        target: Callable[[], Target],
        clients: Callable[[], Iterable[Client]],
        leads: Callable[[], bool] = lambda: True,
    ) -> None:
        self.work: Work[Name] = Work(self._do)
        self._requests = requests
        self._claims = claims
        self._place = place
        self._target = target
        self._clients = clients
        self._leads = leads
        self._ingresses: dict[Name, Ingress] = {}
        self._services: dict[Ref, Object] = {}
        self._nodes: dict[Ref, Object] = {}
        self._served: dict[Name, str] = {}
        self._sharing: frozenset[Name] = frozenset()
        self._shared_routes: tuple[Entry | None, ...] = ()
        self._proved: set[Name] = set()
        self._sent: dict[Name, tuple[Ingress, Addresses]] = {}
        self._answers = asyncio.Event()
        self._pace = Buckets()

    def serves(self, ref: Ref) -> bool:
        """Whether an object is not an Ingress of somebody else."""
        return ref.kind is not Kind.INGRESS or (ref.namespace, ref.name) in self._served

    @property
    def served(self) -> Mapping[Name, str]:
        """Every Ingress that has listeners, and what the names of those begin with."""
        return self._served

    # --- What is told ------------------------------------------------------------------------------------------------

    def observe(self, changes: Iterable[ObjectChange]) -> None:
        """Note the state of Ingresses, of the Services of listeners, and of nodes."""
        for change in changes:
            kind, namespace, name = change.ref
            if kind is Kind.INGRESS:
                self._note_ingress((namespace, name), change)
            elif kind is Kind.NODE:
                _note(self._nodes, change)
                self.work.add(self._proved)
            elif kind is Kind.SERVICE:
                self._note_service(change)

    def _note_ingress(self, name: Name, change: ObjectChange) -> None:
        self._sent.pop(name, None)  # it is another one now, be it that somebody undid what was sent
        if isinstance(change, Delete):
            self._ingresses.pop(name, None)
        elif isinstance(change.object, Ingress):
            self._ingresses[name] = change.object
            self.work.add([name])

    def _note_service(self, change: ObjectChange) -> None:
        _, namespace, name = change.ref
        known = self._services.pop(change.ref, None)
        service = None if isinstance(change, Delete) else change.object
        if isinstance(service, Service) and frontend_of(service, self._place.publish):
            self._services[change.ref] = known = service
        if (namespace, name) == self._place.publish:
            self.work.add(self._sharing)
        elif known is not None and is_ours(known):
            self.work.add([(namespace, known.metadata.annotations.get(INGRESS_ANNOTATION, ""))])

    def look_at(self, listeners: Iterable[str]) -> None:
        """These listeners are wanted, or wanted no more."""
        for frontend in {frontend_of_listener(listener) for listener in listeners} - {SHARED}:
            namespace, _, ingress = frontend.partition("/")
            wants = any(map(self._claims.wants, listeners_of_frontend(frontend)))
            self._serve((namespace, ingress), frontend if wants else "")

    def look(self) -> None:
        """There is a new target, or a client has answered: something may be proved."""
        self._answers.set()

    def look_at_all(self) -> None:
        """This replica leads from now on: it clears what others may have left."""
        self.work.add(name for name, ingress in self._ingresses.items() if ingress.status_is_ours)

    def _serve(self, name: Name, frontend: str) -> None:
        if self._served.get(name, "") == frontend:
            return
        self._proved.discard(name)
        self._served.pop(name, None)
        if frontend:
            self._served[name] = frontend
        self.work.add([name])
        self._answers.set()

    # --- What is proved ----------------------------------------------------------------------------------------------

    async def prove(self) -> None:
        """Look again and again at what clients have proved, soon after they did, until cancelled."""
        while True:
            await self._answers.wait()
            self._answers.clear()
            started = perf_counter()
            await self.look_once()
            await asyncio.sleep(max(LOOK_SECONDS, _SHARE * (perf_counter() - started)))

    async def look_once(self) -> None:
        """Find out what is proved by now; other things may happen meanwhile, as there may be many clients."""
        self._note_sharers()
        waiting: dict[str, list[Name]] = {}
        for name, frontend in self._served.items() if len(self._proved) < len(self._served) else ():
            if name not in self._proved:
                waiting.setdefault(frontend, []).append(name)
        for frontend, names in waiting.items():
            if self._is_proved(frontend):
                self._proved.update(name for name in names if self._served.get(name) == frontend)
                self.work.add(names)
            await asyncio.sleep(0)

    def _note_sharers(self) -> None:
        target = self._target()
        routes = tuple(target.get(ROUTE, name) for name in _SHARED_ROUTES)
        if all(now is before for now, before in zip(routes, self._shared_routes or (0, 0), strict=True)):
            return
        self._shared_routes = routes
        before, self._sharing = self._sharing, sharers(target)
        for name in before - self._sharing:
            if self._served.get(name) == SHARED:
                self._serve(name, "")
        for name in self._sharing - before:
            self._serve(name, SHARED)

    def _is_proved(self, frontend: str) -> bool:
        target = self._target()
        claimed = self._claims.ports
        ports = {name: claimed[name] for name in listeners_of_frontend(frontend) if name in claimed}
        if frontend == SHARED:
            ports |= {f"{SHARED}/{scheme}": port for scheme, port in self._place.host_ports.items()}
        ways = agent_keys(frontend, self._place.publish, target)
        return proves(self._clients(), proxy_keys(frontend, ports, target), ways, target)

    # --- What follows ------------------------------------------------------------------------------------------------

    async def _do(self, name: Name) -> bool:
        ingress, frontend = self._ingresses.get(name), self._served.get(name)
        if ingress is None:
            return True
        if frontend is not None:
            return name not in self._proved or await self._write(name, ingress, self._addresses(frontend))
        return not (self._leads() and ingress.status_is_ours) or await self._write(name, ingress, ())

    def _addresses(self, frontend: str) -> Addresses:
        """Return the addresses of a frontend's Service, or of the nodes where nothing gives it any."""
        namespace, _, ingress = frontend.partition("/")
        place = self._place.publish if frontend == SHARED else (namespace, service_name(ingress))
        service = self._services.get(Ref(Kind.SERVICE, *place))
        on_nodes = frontend == SHARED and self._place.host_ports
        if isinstance(service, Service) and service.status.load_balancer.ingress and not on_nodes:
            listed = service.status.load_balancer.ingress
            return tuple(LoadBalancerIngress(ip=one.ip, hostname=one.hostname) for one in listed)
        nodes = [node for _, node in sorted(self._nodes.items()) if isinstance(node, Node)]
        addresses = [address for address in map(_address_of, nodes) if address]
        return tuple(LoadBalancerIngress(ip=address) for address in addresses[:MOST_NODES])

    async def _write(self, name: Name, ingress: Ingress, addresses: Addresses) -> bool:
        if ingress.status.load_balancer.ingress == addresses or self._sent.get(name) == (ingress, addresses):
            return True
        if self.work.is_held_back(name, self._pace, f"The address of {ingress.ref}"):
            return True
        body = {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "Ingress",
            "metadata": {"namespace": ingress.metadata.namespace, "name": ingress.metadata.name},
            **({"status": {"loadBalancer": {"ingress": [_shown(one) for one in addresses]}}} if addresses else {}),
        }
        if not await self._requests.apply(ingress.ref, body, subresource="status"):
            return False
        self._sent[name] = (ingress, addresses)
        return True


def _note(known: dict[Ref, Object], change: ObjectChange) -> None:
    if isinstance(change, Delete):
        known.pop(change.ref, None)
    else:
        known[change.ref] = change.object


def _address_of(node: Node) -> str:
    """Return a node's address for the outside, else the one inside."""
    by_type = {address.type: address.address for address in reversed(node.status.addresses)}
    return next((by_type[kind] for kind in _NODE_ADDRESSES if kind in by_type), "")


def _shown(address: LoadBalancerIngress) -> dict[str, str]:
    return {"ip": address.ip} if address.ip else {"hostname": address.hostname}
