"""The debug pages of the control plane: for people, and the same content with ``?format=json`` for programs."""

from __future__ import annotations

import time
from urllib.parse import urlencode

from aiohttp import web

from nodegate.debug.shell import Section, Shell, resource_url
from nodegate.debug.views import Views
from nodegate.snapshot.facts import NodeFacts

_SECTIONS = (
    Section("/debug/proxies", "Proxies"),
    Section("/debug/problems", "Problems"),
    Section("/debug/objects", "Objects"),
    Section("/debug/target", "Target"),
)


def debug_app(views: Views, host: str) -> web.Application:
    """Return the application of the debug address; ``host`` is the host it was configured with."""
    site = _Site(views)
    app = site.shell.application(host)
    app.add_routes(
        [
            web.get("/", site.home),
            web.get("/debug", site.home),
            web.get("/debug/", site.index),
            web.get("/debug/objects", site.objects),
            web.get("/debug/objects/{kind}/{name}", site.object),
            web.get("/debug/objects/{kind}/{namespace}/{name}", site.object),
            web.get("/debug/target", site.target),
            web.get("/debug/resources/{type}/{name:.+}", site.resource),
            web.get("/debug/problems", site.problems),
            web.get("/debug/proxies", site.proxies),
        ]
    )
    return app


class _Site:
    def __init__(self, views: Views) -> None:
        self._views = views
        self.shell = Shell(_SECTIONS)

    async def home(self, _request: web.Request) -> web.StreamResponse:
        raise web.HTTPFound("/debug/")

    async def index(self, request: web.Request) -> web.StreamResponse:
        return self.shell.answer(request, "index.html", "Overview", self._views.index(time.time()))

    async def objects(self, request: web.Request) -> web.StreamResponse:
        return self.shell.listing(request, "objects", "Objects", self._views.objects())

    async def object(self, request: web.Request) -> web.StreamResponse:
        kind, name = request.match_info["kind"], request.match_info["name"]
        namespace = request.match_info.get("namespace", "")
        title = f"{kind} {namespace}/{name}" if namespace else f"{kind} {name}"
        return self.shell.one(request, "object.html", title, self._views.object(kind, namespace, name))

    async def target(self, request: web.Request) -> web.StreamResponse:
        short_type = request.query.get("type", "")
        return self.shell.listing(request, "target", "Target", self._views.target(short_type), "resources")

    async def resource(self, request: web.Request) -> web.StreamResponse:
        short_type, name, query = request.match_info["type"], request.match_info["name"], request.query
        facts = NodeFacts(query.get("node", ""), query.get("zone", ""), query.get("transparent", "") in {"1", "true"})
        data = self._views.resource(short_type, name, facts)
        if data is not None and data["per_client"]:
            path = resource_url(short_type, name)
            data["proxies"] = [{"node_id": node, "url": _as_on(path, facts)} for node, facts in self._views.seen_by()]
        return self.shell.one(request, "resource.html", f"{short_type} {name}", data)

    async def problems(self, request: web.Request) -> web.StreamResponse:
        return self.shell.listing(request, "problems", "Problems", self._views.problems())

    async def proxies(self, request: web.Request) -> web.StreamResponse:
        return self.shell.listing(request, "proxies", "Proxies", self._views.proxies(time.time()))


def _as_on(path: str, facts: NodeFacts) -> str:
    query = {"node": facts.node, "zone": facts.zone, "transparent": "1" if facts.transparent else ""}
    return f"{path}?{urlencode({key: value for key, value in query.items() if value})}"
