"""How a Problem reads as a Kubernetes Event, so that ``kubectl describe`` shows it with its object. Pure.

The name of an Event follows from the object and the Problem, so replicas and restarts do not tell the same twice: the
API server has it already. Sources: ``events.k8s.io/v1`` and its validation (a note has at most 1,024 bytes, only the
series may change).
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from nodegate.model.objects import Object
from nodegate.model.problem import Problem
from nodegate.model.refs import Kind

REPORTER = "nodegate.dev/ingress-controller"
_API_VERSION = {
    Kind.INGRESS: "networking.k8s.io/v1",
    Kind.INGRESS_CLASS: "networking.k8s.io/v1",
    Kind.ENDPOINT_SLICE: "discovery.k8s.io/v1",
}
_NUMBERS = re.compile(r"\d+")
_LONGEST_NOTE, _LONGEST_NAME = 1024, 200
_COLLECTION = "/apis/events.k8s.io/v1/namespaces/{}/events"


@dataclass(frozen=True, slots=True)
class EventName:
    """The identity of an Event; one of an object without namespace is in ``default``, where kubectl looks for it."""

    namespace: str
    name: str

    @property
    def collection(self) -> str:
        """Where it is made."""
        return _COLLECTION.format(self.namespace)

    @property
    def path(self) -> str:
        """Where it is."""
        return f"{self.collection}/{self.name}"


def event_name(problem: Problem, found: Object) -> EventName:
    """Return the name of a Problem's Event. Numbers in the message do not make it another one: they count things."""
    words = (found.metadata.uid, problem.code, problem.field, problem.about or _NUMBERS.sub("#", problem.message))
    digest = hashlib.sha256("\n".join(words).encode()).hexdigest()[:16]
    start = problem.ref.name[:_LONGEST_NAME].rstrip(".-")
    return EventName(problem.ref.namespace or "default", f"{start}.{digest}")


def event_body(name: EventName, problem: Problem, found: Object, reporter: str, now: float) -> dict[str, Any]:
    """Return a new Event; ``reporter`` is this replica, ``now`` in Unix seconds."""
    return {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"namespace": name.namespace, "name": name.name},
        "eventTime": _time(now),
        "type": "Warning",
        "reason": problem.code,
        "action": "Serve",
        "note": _note(problem),
        "regarding": {
            "apiVersion": _API_VERSION.get(problem.ref.kind, "v1"),
            "kind": problem.ref.kind.value,
            "namespace": problem.ref.namespace,
            "name": problem.ref.name,
            "uid": found.metadata.uid,
        },
        "reportingController": REPORTER,
        "reportingInstance": reporter[:128],
    }


def series_body(count: int, now: float) -> dict[str, Any]:
    """Return what says that a Problem is there for the ``count``-th time, or still."""
    return {"series": {"count": count, "lastObservedTime": _time(now)}}


def _note(problem: Problem) -> str:
    field = f"{problem.field}: " if problem.field else ""
    text = f"{field}{problem.message} {problem.remedy}".encode()
    return text[:_LONGEST_NOTE].decode(errors="ignore")


def _time(now: float) -> str:
    return datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
