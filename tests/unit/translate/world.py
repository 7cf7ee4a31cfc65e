"""A running translation, as the engine keeps it: all resources, problems and wanted listeners after every step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nodegate.model.changes import Change
from nodegate.model.problem import Problem
from nodegate.model.refs import Ref
from nodegate.snapshot.facts import NodeFacts
from nodegate.snapshot.resource import Entry, Key
from nodegate.snapshot.type_urls import CLUSTER, ENDPOINT, LISTENER, REDIRECT, ROUTE, SECRET
from nodegate.translate.index import Index
from nodegate.translate.render import rendered
from nodegate.translate.result import Changed
from nodegate.translate.settings import Settings
from nodegate.translate.step import step

TYPES = {
    "cluster": CLUSTER,
    "endpoint": ENDPOINT,
    "secret": SECRET,
    "listener": LISTENER,
    "route": ROUTE,
    "redirect": REDIRECT,
}
FACTS = (NodeFacts(), NodeFacts(transparent=True), NodeFacts("node-a", "zone-a"), NodeFacts("node-b", "zone-a"))


class World:
    """Everything translation has made so far of the changes it was given."""

    def __init__(self, *changes: Change, settings: Settings | None = None) -> None:
        self.index = Index.new(settings or Settings())
        self.resources: dict[Key, Entry] = {}
        self.problems: dict[Ref, tuple[Problem, ...]] = {}
        self.listeners: dict[str, int] = {}
        self.work: dict[str, int] = {}
        self.change(*changes)

    def change(self, *changes: Change) -> Changed:
        """Apply changes as one step and return the difference; ``work`` is what that step alone made."""
        before = dict(self.index.work)
        self.index, changed = step(self.index, changes)
        self.work = {kind: n for kind, count in self.index.work.items() if (n := count - before.get(kind, 0))}
        _update(self.resources, changed.resources)
        _update(self.problems, changed.problems)
        _update(self.listeners, changed.listeners)
        return changed

    @property
    def bytes(self) -> dict[Key, tuple[bytes, ...]]:
        """The bytes of every resource, for several nodes."""
        return {key: tuple(entry.resolve(fact).body for fact in FACTS) for key, entry in self.resources.items()}

    def names(self, short: str) -> list[str]:
        """Return the names of the resources of one type, ordered."""
        return sorted(name for type_url, name in self.resources if type_url == TYPES[short])

    def resource(self, short: str, name: str, facts: NodeFacts | None = None) -> dict[str, Any]:
        """Return one resource as plain values."""
        return rendered(self.resources[TYPES[short], name].resolve(facts or NodeFacts()))

    def routes(self, listener: str, host: str = "*") -> list[tuple[str, str]]:
        """Return the routes of a virtual host: what each compares, and its cluster or status."""
        hosts = {h["name"]: h for h in self.resource("route", listener).get("virtual_hosts", [])}
        return [(_compared(route["match"]), _leads_to(route)) for route in hosts[host].get("routes", [])]

    def addresses(self, cluster: str, facts: NodeFacts | None = None) -> list[str]:
        """Return the endpoints of a cluster as ``ip:port``, draining ones with a ``!``, the preferred ones first."""
        found = []
        for locality in self.resource("endpoint", cluster, facts).get("endpoints", []):
            for endpoint in locality["lb_endpoints"]:
                address = endpoint["endpoint"]["address"]["socket_address"]
                mark = "!" if endpoint.get("health_status") == "DRAINING" else ""
                found.append(f"{address['address']}:{address['port_value']}{mark}")
        return found

    def codes(self) -> list[str]:
        """Return the codes of all problems, ordered, each as often as it occurs."""
        return sorted(problem.code for problems in self.problems.values() for problem in problems)


def _update(held: dict[Any, Any], changes: Mapping[Any, Any]) -> None:
    """Put in what is there now, take out what is None or empty."""
    for key, value in changes.items():
        if value:
            held[key] = value
        else:
            held.pop(key, None)


def _compared(match: dict[str, Any]) -> str:
    if "path" in match:
        return f"={match['path']}"
    if "safe_regex" in match:
        return f"~{match['safe_regex']['regex']}"
    return str(match.get("path_separated_prefix") or match["prefix"])


def _leads_to(route: dict[str, Any]) -> str:
    if "redirect" in route:
        return "https" if route["redirect"].get("https_redirect") else "redirect"
    if "route" in route:
        weighted = route["route"].get("weighted_clusters", {}).get("clusters", ())
        return route["route"].get("cluster") or " ".join(f"{c['name']}={c.get('weight', 0)}" for c in weighted)
    return str(route["direct_response"]["status"])
