"""The probes' address: ``/healthz``, ``/readyz`` and ``/metrics``, and nothing else (DESIGN 3.8)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST

from nodegate.debug.state import State
from nodegate.model.problem import Severity


@dataclass(slots=True)
class Readiness:
    """Whether proxies should be sent here. ``open`` says that the xDS endpoint accepts streams and is not draining."""

    state: State
    open: bool = False
    draining: bool = False

    def drain(self) -> None:
        """Send new proxies elsewhere: the end has begun."""
        self.draining = True

    def missing(self) -> str:
        """Say what is not there yet, as a sentence; empty when ready."""
        if self.draining:
            return "The control plane is shutting down."
        if not self.state.synced and not self.state.stale:
            return " ".join(("The source has not listed everything yet.", *self._reasons()))
        if not self.state.publications:
            return "No snapshot has been published yet."
        if not self.open:
            return "The xDS endpoint is not open yet."
        return ""

    def _reasons(self) -> Iterator[str]:
        """Yield what is known to stand in the way, of the source itself: a rule that is missing, for instance."""
        found = [one for one in self.state.sources if one.severity is not Severity.INFO]
        yield from (f"{one.message} {one.remedy}" for one in found[:1])
        if len(found) > 1:
            yield f"And {len(found) - 1} more: see /debug/problems."


def probes_app(readiness: Readiness, metrics: Callable[[], bytes]) -> web.Application:
    """Return the application of the probes' address; ``metrics`` renders them in Prometheus' text format."""

    async def healthz(_request: web.Request) -> web.Response:
        return _plain("ok")

    async def readyz(_request: web.Request) -> web.Response:
        missing = readiness.missing()
        return _plain(missing or "ok", status=503 if missing else 200)

    async def show_metrics(_request: web.Request) -> web.Response:
        return web.Response(body=metrics(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application()
    app.add_routes([web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", show_metrics)])
    return app


def _plain(text: str, status: int = 200) -> web.Response:
    return web.Response(text=f"{text}\n", status=status, headers={"Cache-Control": "no-store"})
