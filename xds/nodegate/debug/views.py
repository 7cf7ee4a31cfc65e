"""What each debug page says, as plain values: what ``?format=json`` gives, and what the templates show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from nodegate.debug.plain import plain_object, plain_problem, plain_resource
from nodegate.debug.probes import Readiness
from nodegate.debug.shell import Data
from nodegate.debug.state import Replica, State
from nodegate.model.problem import Severity
from nodegate.model.refs import Kind, Ref
from nodegate.server.clients import Clients, ClientStatus, TypeStatus
from nodegate.snapshot.facts import NodeFacts
from nodegate.snapshot.resource import Entry, Faceted, Key
from nodegate.snapshot.type_urls import SEND_ORDER, SHORT_NAME

TYPE_URL = {short: type_url for type_url, short in SHORT_NAME.items()}


@dataclass(frozen=True, slots=True)
class Views:
    """Reads the state and the clients; every method is one page. Times are relative to ``now`` (Unix seconds)."""

    state: State
    clients: Clients
    readiness: Readiness
    version: str
    replica: Callable[[], Replica | None] = lambda: None

    def index(self, now: float) -> Data:
        """Return the figures that say whether all is well."""
        state, clients = self.state, self.clients.snapshot()
        severities = Counter(problem.severity for problem in state.all_problems())
        missing = self.readiness.missing()
        return {
            "version": self.version,
            "ready": not missing,
            "not_ready_because": missing,
            "snapshot": {
                "serial": state.target.serial,
                "age": now - state.published if state.publications else None,
                "sequence": state.sequence,
                "pending": state.pending,
                "held": state.held,
                "stale": state.stale,
            },
            "source": [plain_problem(problem) for problem in state.sources if problem.ref.kind is Kind.CLUSTER],
            "replica": msgspec.to_builtins(self.replica()),
            "translate": {
                "count": state.translate.count,
                "seconds": state.translate.total,
                "last_seconds": state.translate.last,
            },
            "objects": dict(sorted(Counter(ref.kind.value for ref in state.objects).items())),
            "resources": {SHORT_NAME[url]: len(state.target.of_type(url)) for url in SEND_ORDER},
            "problems": {severity.value: severities[severity] for severity in Severity},
            "proxies": len(clients),
            "proxies_synced": sum(all(of_type.synced for of_type in client.types) for client in clients),
            "listeners": dict(sorted(state.ports.items())),
        }

    def objects(self) -> Data:
        """Return the name of every object, and how many problems it has."""
        problems = Counter(problem.ref for problem in self.state.all_problems())
        return {"objects": [{**_ref(ref), "problems": problems[ref]} for ref in sorted(self.state.objects)]}

    def object(self, kind: str, namespace: str, name: str) -> Data | None:
        """Return one object as nodegate reads it, its problems, and the resources that are made from it."""
        if kind not in set(Kind):
            return None
        ref = Ref(Kind(kind), namespace, name)
        problems = [plain_problem(problem) for problem in self.state.all_problems() if problem.ref == ref]
        value = self.state.objects.get(ref)
        if value is None and not problems:
            return None
        made = [_key(entry.key) for entry in self._entries() if ref in entry.causes]
        return {"object": plain_object(value) if value else None, "problems": problems, "resources": made}

    def target(self, short_type: str = "") -> Data:
        """Return the name, version, causes and references of every resource, or of those of one type."""
        wanted = {TYPE_URL.get(short_type)} if short_type else set(SEND_ORDER)
        listed = [_listed(entry) for entry in self._entries() if entry.key[0] in wanted]
        return {"serial": self.state.target.serial, "resources": listed}

    def resource(self, short_type: str, name: str, facts: NodeFacts) -> Data | None:
        """Return one resource as a client with these facts gets it."""
        entry = self.state.target.get(TYPE_URL.get(short_type, ""), name)
        if entry is None:
            return None
        resource = entry.resolve(facts)
        return {
            **_listed(entry),
            "version": resource.version,
            "bytes": len(resource.body),
            "per_client": isinstance(entry, Faceted),
            "facts": msgspec.to_builtins(facts),
            "resource": plain_resource(resource),
        }

    def problems(self) -> Data:
        """Return every problem."""
        return {"problems": [plain_problem(problem) for problem in self.state.all_problems()]}

    def proxies(self, now: float) -> Data:
        """Return every connected client with its versions, what it waits for and what it rejects."""
        clients = sorted(self.clients.snapshot(), key=lambda client: (client.node_id, client.id))
        return {"proxies": [self._client(client, now) for client in clients]}

    def seen_by(self) -> list[tuple[str, NodeFacts]]:
        """Return the connected nodes with their facts, by name."""
        return sorted({client.node_id: client.facts for client in self.clients.snapshot()}.items())

    def _client(self, client: ClientStatus, now: float) -> Data:
        plain: Data = msgspec.to_builtins(client)
        types = sorted(client.types, key=lambda of_type: _order(of_type.type_url))
        return {**plain, "age": now - client.connected_at, "types": [self._type(of_type) for of_type in types]}

    def _type(self, of_type: TypeStatus) -> Data:
        plain: Data = msgspec.to_builtins(of_type)
        causes = {name: self._causes((of_type.type_url, name)) for name in of_type.rejected}
        return {"type": SHORT_NAME.get(of_type.type_url, of_type.type_url), **plain, "rejected_causes": causes}

    def _causes(self, key: Key) -> list[dict[str, str]]:
        entry = self.state.target.get(*key)
        return [_ref(cause) for cause in entry.causes] if entry else []

    def _entries(self) -> list[Entry]:
        target = self.state.target
        return [target.of_type(url)[name] for url in SEND_ORDER for name in sorted(target.of_type(url))]


def _ref(ref: Ref) -> dict[str, str]:
    return {"kind": ref.kind.value, "namespace": ref.namespace, "name": ref.name}


def _key(key: Key) -> dict[str, str]:
    return {"type": SHORT_NAME.get(key[0], key[0]), "name": key[1]}


def _listed(entry: Entry) -> Data:
    return {
        **_key(entry.key),
        "version": entry.version,
        "empty": entry.empty,
        "causes": [_ref(cause) for cause in entry.causes],
        "refs": [_key(ref) for ref in entry.refs],
    }


def _order(type_url: str) -> int:
    return SEND_ORDER.index(type_url) if type_url in SEND_ORDER else len(SEND_ORDER)
