"""What a user did at an API server, from the server's own audit log."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Rule = tuple[str, str, str]
"""API group, resource with its subresource, verb."""


class Audit:
    """The audit log of one user; ``flags`` are those of an API server that is to keep it."""

    def __init__(self, folder: Path, user: str) -> None:
        self._log, policy = folder / "audit.log", folder / "audit-policy.json"
        rules = [{"level": "Metadata", "users": [user]}, {"level": "None"}]
        stages = ["RequestReceived"]
        policy.write_text(
            json.dumps({"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": stages, "rules": rules})
        )
        self.flags = {"audit-policy-file": str(policy), "audit-log-path": str(self._log)}

    def used(self) -> set[Rule]:
        """Return every rule that was needed for what was done."""
        return {rule for request in self._requests() for rule in request.needed()}

    def refused(self) -> list[str]:
        """Return what the server did not allow."""
        return [f"{request.verb} {request.resource}" for request in self._requests() if request.status == 403]

    def writes(self) -> list[str]:
        """Return everything that was asked for besides reading, in order, but what is done to the Lease."""
        asked = [one for one in self._requests() if one.verb not in {"get", "list", "watch"}]
        return [f"{one.verb} {one.resource} {one.name}" for one in asked if one.resource != "leases"]

    def _requests(self) -> Iterator[Request]:
        for line in self._log.read_text().splitlines():
            entry = json.loads(line)
            if "objectRef" in entry:
                yield Request.read(entry)


@dataclass(frozen=True)
class Request:
    """One request as the audit log has it; ``name`` is the object's, with its namespace."""

    group: str
    resource: str
    name: str
    verb: str
    status: int

    @classmethod
    def read(cls, entry: Mapping[str, Any]) -> Request:
        """Return what an entry says."""
        about = entry["objectRef"]
        resource = "/".join(about[key] for key in ("resource", "subresource") if about.get(key))
        name = f"{about.get('namespace', '')}/{about.get('name', '')}"
        status = entry.get("responseStatus", {}).get("code", 0)
        return cls(about.get("apiGroup", ""), resource, name, entry["verb"], status)

    def needed(self) -> Iterator[Rule]:
        """Yield the rules it took. To apply what does not exist yet is a patch that is also allowed to create."""
        if self.status != 403:
            yield self.group, self.resource, self.verb
        if self.verb == "patch" and self.status == 201:
            yield self.group, self.resource, "create"
