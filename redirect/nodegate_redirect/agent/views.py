"""What the debug page of an agent shows: each redirect, where the kernel sends its frontends, what waits and why."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from nodegate_redirect.agent.metrics import Seen
from nodegate_redirect.agent.probes import missing_of
from nodegate_redirect.contract import Place, Redirect
from nodegate_redirect.mode import Count
from nodegate_redirect.plan import Plan

_NOTHING = Count()


def view(seen: Seen, counts: Mapping[Place, Count]) -> dict[str, Any]:
    """Return everything as plain values, redirects by name; ``counts`` is what the kernel counted."""
    status, missing = seen.status, missing_of(seen)
    places: defaultdict[str, list[Place]] = defaultdict(list)
    for place, owner in status.outcome.plan.owners.items():
        places[owner].append(place)
    asked = seen.following.asked
    return {
        "version": seen.version,
        "node": seen.node,
        "mode": seen.mode,
        "why": seen.why,
        "ready": not missing,
        "not_ready_because": missing,
        "connected": seen.client.connected,
        "last_error": seen.client.last_error,
        "kernel_refused": status.outcome.error,
        "redirects": [
            {
                **_redirect(asked[name].redirect, places[name], status.outcome.plan, counts),
                "problem": status.problems.get(name, ""),
            }
            for name in sorted(asked)
        ],
        "refused": dict(seen.following.refused),
    }


def _redirect(redirect: Redirect, places: Iterable[Place], plan: Plan, counts: Mapping[Place, Count]) -> dict[str, Any]:
    frontends = [_frontend(place, plan, counts.get(place, _NOTHING)) for place in sorted(places)]
    return {"name": redirect.name, "listener": redirect.listener, "port": redirect.port, "frontends": frontends}


def _frontend(place: Place, plan: Plan, count: Count) -> dict[str, Any]:
    target = plan.targets.get(place)
    return {
        "address": place.address,
        "port": place.port,
        "to": target.port if target else None,
        "ranges": target.ranges if target else None,
        "connections": count.connections,
        "packets": count.packets,
    }
