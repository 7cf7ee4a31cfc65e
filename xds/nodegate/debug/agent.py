"""The debug page of a redirect agent, which looks like those of the control plane."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web

from nodegate.debug.shell import Data, Section, Shell


def agent_debug_app(view: Callable[[], Awaitable[Data]], host: str) -> web.Application:
    """Return the application of an agent's debug address; ``host`` is the host it was configured with."""
    shell = Shell((Section("/debug/", "Redirects"),))

    async def home(_request: web.Request) -> web.StreamResponse:
        raise web.HTTPFound("/debug/")

    async def redirects(request: web.Request) -> web.StreamResponse:
        return shell.listing(request, "redirects", "Redirects", await view())

    app = shell.application(host)
    app.add_routes([web.get("/", home), web.get("/debug", home), web.get("/debug/", redirects)])
    return app
