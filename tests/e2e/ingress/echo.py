"""Backends that answer with what they were asked, so that a test sees the request as the application does."""

from __future__ import annotations

import itertools
import json
import ssl
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from nodegate.model.objects import EndpointConditions, EndpointSlice
from tests.unit.translate.objects import READY, endpoints

_SLICES = itertools.count(1)


class Echo:
    """One HTTP/1.1 backend on a port of its own. ``answer`` may give another status for a request's path."""

    def __init__(
        self, name: str, *, tls: ssl.SSLContext | None = None, answer: Callable[[str], int] = lambda _: 200
    ) -> None:
        self.name = name
        self.requests: list[str] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self, answer))
        self._server.daemon_threads = True
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self._server.server_address[1])

    def slice(
        self, of: str, conditions: EndpointConditions = READY, *, port_name: str = "", address: str = "127.0.0.1"
    ) -> EndpointSlice:
        """Return an EndpointSlice that makes this backend an endpoint of a Service."""
        name = f"{of}-{next(_SLICES)}"
        return endpoints(of, (address, conditions), port=self.port, port_name=port_name, name=name)

    def stop(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _handler(echo: Echo, answer: Callable[[str], int]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = self._body()
            echo.requests.append(self.path)
            seen: dict[str, Any] = {
                "name": echo.name,
                "path": self.path,
                "version": self.request_version,
                "headers": {key.lower(): value for key, value in self.headers.items()},
                "body": len(body),
            }
            encoded = json.dumps(seen).encode()
            self.send_response(answer(self.path))
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(encoded)))
            self.end_headers()
            self.wfile.write(encoded)

        do_POST = do_GET  # noqa: N815  # http.server's names
        do_OPTIONS = do_GET  # noqa: N815

        def _body(self) -> bytes:
            if self.headers.get("transfer-encoding") != "chunked":
                return self.rfile.read(int(self.headers.get("content-length") or 0))
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    return Handler
