"""The probes' address: ``/healthz``, ``/readyz`` and ``/metrics``, and nothing else (DESIGN 3.8)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST

from nodegate_redirect.agent.metrics import Counts, Metrics, Seen
from nodegate_redirect.errors import RedirectError


def probes_app(seen: Seen, metrics: Metrics, counters: Callable[[], Awaitable[Counts]]) -> web.Application:
    """Return the application of the probes' address; ``counters`` asks the kernel."""

    async def healthz(_request: web.Request) -> web.Response:
        return _plain("ok")

    async def readyz(_request: web.Request) -> web.Response:
        missing = missing_of(seen)
        return _plain(missing or "ok", status=503 if missing else 200)

    async def show_metrics(_request: web.Request) -> web.Response:
        try:
            counts = await counters()
        except RedirectError:
            counts = ({}, {})  # all others are worth having, and the refusal is logged where it matters
        return web.Response(body=metrics.render(counts), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application()
    app.add_routes([web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", show_metrics)])
    return app


def missing_of(seen: Seen) -> str:
    """Say what keeps the agent from being ready, as a sentence; empty when it is."""
    if not seen.following.heard:
        return "The control plane has not said yet what to redirect, and nothing is kept of an earlier run."
    if not seen.status.ready:
        return "The kernel does not hold the redirects yet."
    if seen.status.outcome.error:
        return f"The kernel refused the redirects: {seen.status.outcome.error}"
    return ""


def _plain(text: str, status: int = 200) -> web.Response:
    return web.Response(text=f"{text}\n", status=status, headers={"Cache-Control": "no-store"})
