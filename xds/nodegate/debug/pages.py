"""The debug address: pages for people, the same content with ``?format=json`` for programs.

Reading only. The pages are for whoever can reach the address, which is loopback by default; a web site that a person
on this machine visits must not be one of them, so a request is answered only when its ``Host`` is an IP address,
``localhost`` or the host the address was configured with (DNS rebinding turns a site's own name into our address).
"""

from __future__ import annotations

import json
import time
from base64 import b64encode
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from ipaddress import ip_address
from typing import Any
from urllib.parse import quote, urlencode

import jinja2
from aiohttp import web
from markupsafe import Markup

from nodegate.debug.views import Data, Views
from nodegate.snapshot.facts import NodeFacts

ROWS = 500
"""How many rows a page shows; the JSON has all of them."""

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class _Section:
    path: str
    title: str


_SECTIONS = (
    _Section("/debug/proxies", "Proxies"),
    _Section("/debug/problems", "Problems"),
    _Section("/debug/objects", "Objects"),
    _Section("/debug/target", "Target"),
)


def debug_app(views: Views, host: str) -> web.Application:
    """Return the application of the debug address; ``host`` is the host it was configured with."""
    site = _Site(views)
    app = web.Application(
        middlewares=[_only_hosts(frozenset({host.lower(), "localhost"})), _safe_headers(site.headers)]
    )
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
        self._templates = _templates()
        self._style = files(__package__).joinpath("templates/style.css").read_text(encoding="utf-8")
        style_hash = b64encode(sha256(self._style.encode()).digest()).decode()
        self.headers = {
            "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{style_hash}'; form-action 'self'; "
            "frame-ancestors 'none'; base-uri 'none'",
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Cache-Control": "no-store",
        }

    async def home(self, _request: web.Request) -> web.StreamResponse:
        raise web.HTTPFound("/debug/")

    async def index(self, request: web.Request) -> web.StreamResponse:
        return self._answer(request, "index.html", "Overview", self._views.index(time.time()))

    async def objects(self, request: web.Request) -> web.StreamResponse:
        return self._listing(request, "objects", "Objects", self._views.objects())

    async def object(self, request: web.Request) -> web.StreamResponse:
        kind, name = request.match_info["kind"], request.match_info["name"]
        namespace = request.match_info.get("namespace", "")
        title = f"{kind} {namespace}/{name}" if namespace else f"{kind} {name}"
        return self._one(request, "object.html", title, self._views.object(kind, namespace, name))

    async def target(self, request: web.Request) -> web.StreamResponse:
        short_type = request.query.get("type", "")
        return self._listing(request, "target", "Target", self._views.target(short_type), "resources")

    async def resource(self, request: web.Request) -> web.StreamResponse:
        short_type, name, query = request.match_info["type"], request.match_info["name"], request.query
        facts = NodeFacts(query.get("node", ""), query.get("zone", ""), query.get("transparent", "") in {"1", "true"})
        data = self._views.resource(short_type, name, facts)
        if data is not None and data["per_client"]:
            path = _resource_url(short_type, name)
            data["proxies"] = [{"node_id": node, "url": _as_on(path, facts)} for node, facts in self._views.seen_by()]
        return self._one(request, "resource.html", f"{short_type} {name}", data)

    async def problems(self, request: web.Request) -> web.StreamResponse:
        return self._listing(request, "problems", "Problems", self._views.problems())

    async def proxies(self, request: web.Request) -> web.StreamResponse:
        return self._listing(request, "proxies", "Proxies", self._views.proxies(time.time()))

    def _listing(self, request: web.Request, page: str, title: str, data: Data, rows_of: str = "") -> web.Response:
        """Answer with a page of rows: those whose text contains ``?q=``, at most ``ROWS`` of them as HTML."""
        rows_of = rows_of or page
        search = request.query.get("q", "").lower()
        if search:
            data = {**data, rows_of: [row for row in data[rows_of] if search in _text(row).lower()]}
        return self._answer(request, f"{page}.html", title, data, rows=data[rows_of][:ROWS])

    def _one(self, request: web.Request, template: str, title: str, data: Data | None) -> web.Response:
        if data is None:
            return self._answer(request, "missing.html", title, {"error": f"There is no {title}."}, status=404)
        return self._answer(request, template, title, data)

    def _answer(
        self, request: web.Request, template: str, title: str, data: Data, *, status: int = 200, **more: Any
    ) -> web.Response:
        if _wants_json(request):
            return web.json_response(data, status=status, dumps=_pretty)
        context = {
            "title": title,
            "data": data,
            "pages": _SECTIONS,
            "section": next((one.path for one in _SECTIONS if request.path.startswith(one.path)), ""),
            "json_url": str(request.rel_url.update_query(format="json")),
            "style": Markup(self._style),  # noqa: S704  # our own file
            "q": request.query.get("q", ""),
            "type": request.query.get("type", ""),
            **more,
        }
        text = self._templates.get_template(template).render(context)
        return web.Response(text=text, content_type="text/html", status=status)


def _templates() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("nodegate.debug"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["duration"] = duration
    environment.filters["pretty"] = _pretty
    environment.globals["object_url"] = _object_url
    environment.globals["resource_url"] = _resource_url
    return environment


def duration(seconds: float) -> str:
    """Return a time span as people say it, in its largest unit that fits: ``42 s``, ``3 min``, ``5 h``, ``12 d``."""
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"


def _pretty(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def _text(row: Mapping[str, Any]) -> str:
    """Return what a search looks at: ``namespace/name`` and every other plain text of the row."""
    words = [str(value) for value in row.values() if isinstance(value, str)]
    return " ".join([f"{row['namespace']}/{row['name']}" if "namespace" in row else "", *words])


def _object_url(kind: str, namespace: str, name: str) -> str:
    where = f"{quote(namespace, safe='')}/" if namespace else ""
    return f"/debug/objects/{quote(kind, safe='')}/{where}{quote(name, safe='')}"


def _resource_url(short_type: str, name: str) -> str:
    return f"/debug/resources/{quote(short_type, safe='')}/{quote(name, safe='/@')}"


def _as_on(path: str, facts: NodeFacts) -> str:
    query = {"node": facts.node, "zone": facts.zone, "transparent": "1" if facts.transparent else ""}
    return f"{path}?{urlencode({key: value for key, value in query.items() if value})}"


def _wants_json(request: web.Request) -> bool:
    asked = request.query.get("format")
    if asked is not None:
        return asked == "json"
    return request.headers.get("Accept", "").startswith("application/json")


def _only_hosts(names: frozenset[str]) -> Any:
    @web.middleware
    async def check(request: web.Request, handler: _Handler) -> web.StreamResponse:
        host = request.url.host or ""
        if host.lower() not in names and not _is_ip(host):
            raise web.HTTPForbidden(text=f"The host {host!r} is not ours. Use the IP address or localhost.\n")
        return await handler(request)

    return check


def _is_ip(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _safe_headers(headers: Mapping[str, str]) -> Any:
    @web.middleware
    async def add(request: web.Request, handler: _Handler) -> web.StreamResponse:
        try:
            response = await handler(request)
        except web.HTTPException as answer:
            answer.headers.update(headers)
            raise
        response.headers.update(headers)
        return response

    return add
