"""The two services of the BookInfo example, small: ``details`` answers JSON and ``productpage`` answers HTML.

They answer what Istio's BookInfo answers, so the example reads the same here as in a cluster. Every answer carries the
address that gave it in ``x-backend``, so that it can be seen who answers once there are several.
"""

from __future__ import annotations

import contextlib
import html
import json
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from aiohttp import web

from nodegate.errors import UsageError

BACKEND_HEADER = "x-backend"

BOOK = {
    "author": "William Shakespeare",
    "year": 1595,
    "type": "paperback",
    "pages": 200,
    "publisher": "PublisherA",
    "language": "English",
    "ISBN-10": "1234567890",
    "ISBN-13": "123-1234567890",
}

PAGE = """<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>Simple Bookstore App</title></head>
<body>
<h1>The Comedy of Errors</h1>
<p>A product page for every path: this one is <code>{path}</code>, served by {address}.</p>
<p>The details of the book are at <a href="/details/1">/details/1</a>.</p>
</body>
</html>
"""


@dataclass(frozen=True, slots=True, order=True)
class Address:
    """A TCP address a backend listens on."""

    host: str
    port: int

    def __str__(self) -> str:
        """Write it as curl and Envoy do."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def details_app(address: Address) -> web.Application:
    """Return ``details``: ``GET /details/N`` is the book number N as JSON, anything else is 404."""

    async def details(request: web.Request) -> web.Response:
        return web.json_response({"id": int(request.match_info["number"]), **BOOK}, dumps=_compact)

    app = _application(address)
    app.router.add_get(r"/details/{number:\d{1,9}}", details)
    return app


def productpage_app(address: Address) -> web.Application:
    """Return ``productpage``: the product page, whatever the path."""

    async def page(request: web.Request) -> web.Response:
        text = PAGE.format(path=html.escape(request.path), address=address)
        return web.Response(text=text, content_type="text/html")

    app = _application(address)
    app.router.add_get("/{path:.*}", page)
    return app


APPS: dict[str, Callable[[Address], web.Application]] = {"details": details_app, "productpage": productpage_app}


@contextlib.asynccontextmanager
async def serving(
    app: web.Application, address: Address, listen: Callable[[Address], socket.socket] | None = None
) -> AsyncIterator[None]:
    """Serve an application on an address for as long as the context lasts.

    ``listen`` opens the socket; without it that happens here. Raises :class:`UsageError` where the address cannot be
    taken, before anything is served.
    """
    listening = (listen or listen_here)(address)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
    try:
        await runner.setup()
        await web.SockSite(runner, listening).start()
        yield
    finally:
        await runner.cleanup()
        listening.close()


def listen_here(address: Address) -> socket.socket:
    """Return a socket that listens on the address. Raises :class:`UsageError` that says why it cannot."""
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((address.host, address.port))
        listening.listen(128)
    except OSError as error:
        listening.close()
        raise UsageError(f"Nothing can listen on {address}: {error.strerror}.") from error
    listening.setblocking(False)
    return listening


def _compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def _application(address: Address) -> web.Application:
    async def sign(_request: web.Request, response: web.StreamResponse) -> None:
        response.headers[BACKEND_HEADER] = str(address)

    async def health(_request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    app = web.Application()
    app.on_response_prepare.append(sign)
    app.router.add_get("/health", health)
    return app
