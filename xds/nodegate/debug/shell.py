"""What every page of a debug address has in common: its looks, JSON beside it, and who may see it.

Reading only. The pages are for whoever can reach the address, which is loopback by default; a web site that a person
on this machine visits must not be one of them, so a request is answered only when its ``Host`` is an IP address,
``localhost`` or the host the address was configured with (DNS rebinding turns a site's own name into our address).
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from importlib.resources import files
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from aiohttp import web

if TYPE_CHECKING:
    from jinja2 import Environment

Data = dict[str, Any]
"""What a page shows, ready for JSON."""

ROWS = 500
"""How many rows a page shows; the JSON has all of them."""

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Section:
    """One page that the head of every page leads to."""

    path: str
    title: str


class Shell:
    """Answers with pages that all look alike, or with their content as JSON."""

    def __init__(self, sections: Sequence[Section]) -> None:
        self._sections = sections
        self._style = files(__package__).joinpath("templates/style.css").read_text(encoding="utf-8")

    @cached_property
    def _templates(self) -> Environment:
        return _templates(self._style)

    def application(self, host: str) -> web.Application:
        """Return an application without routes; ``host`` is the host that its address was configured with."""
        style_hash = b64encode(sha256(self._style.encode()).digest()).decode()
        headers = {
            "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{style_hash}'; form-action 'self'; "
            "frame-ancestors 'none'; base-uri 'none'",
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Cache-Control": "no-store",
        }
        return web.Application(
            middlewares=[_only_hosts(frozenset({host.lower(), "localhost"})), _safe_headers(headers)]
        )

    def listing(self, request: web.Request, page: str, title: str, data: Data, rows_of: str = "") -> web.Response:
        """Answer with a page of rows: those whose text contains ``?q=``, at most ``ROWS`` of them as HTML."""
        rows_of = rows_of or page
        search = request.query.get("q", "").lower()
        if search:
            data = {**data, rows_of: [row for row in data[rows_of] if search in _text(row).lower()]}
        return self.answer(request, f"{page}.html", title, data, rows=data[rows_of][:ROWS])

    def one(self, request: web.Request, template: str, title: str, data: Data | None) -> web.Response:
        """Answer with a page about one thing; None: there is no such thing."""
        if data is None:
            return self.answer(request, "missing.html", title, {"error": f"There is no {title}."}, status=404)
        return self.answer(request, template, title, data)

    def answer(
        self, request: web.Request, template: str, title: str, data: Data, *, status: int = 200, **more: Any
    ) -> web.Response:
        """Answer with a page, or with its data as JSON where that is asked for."""
        if _wants_json(request):
            return web.json_response(data, status=status, dumps=_pretty)
        context = {
            "title": title,
            "data": data,
            "pages": self._sections,
            "section": next((one.path for one in self._sections if request.path.startswith(one.path)), ""),
            "json_url": str(request.rel_url.update_query(format="json")),
            "q": request.query.get("q", ""),
            "type": request.query.get("type", ""),
            **more,
        }
        text = self._templates.get_template(template).render(context)
        return web.Response(text=text, content_type="text/html", status=status)


def _templates(style: str) -> Environment:
    """Return the pages. Most control planes are never asked for one, and jinja2 takes 2 MB, so it is imported here."""
    import jinja2  # noqa: PLC0415
    from markupsafe import Markup  # noqa: PLC0415

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("nodegate.debug"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["duration"] = duration
    environment.filters["pretty"] = _pretty
    environment.globals["style"] = Markup(style)  # noqa: S704  # our own file
    environment.globals["object_url"] = _object_url
    environment.globals["resource_url"] = resource_url
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


def resource_url(short_type: str, name: str) -> str:
    """Return the path of a resource's page."""
    return f"/debug/resources/{quote(short_type, safe='')}/{quote(name, safe='/@')}"


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
