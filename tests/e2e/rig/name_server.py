"""A name server that knows the same IPv4 address for every name (RFC 1035)."""

from __future__ import annotations

import socket
import socketserver
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Any

_CARES = "type.googleapis.com/envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig"
_HEADER_LENGTH = 12
_ANSWER, _A, _INTERNET, _SECONDS = 0x8180, 1, 1, 60
_POINTER_TO_QUESTION = 0xC00C


@contextmanager
def name_server(address: str) -> Iterator[dict[str, Any]]:
    """Serve for as long as the block lasts; yields the part of a bootstrap that makes Envoy ask here."""

    class Asked(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            query, replying = self.request
            replying.sendto(_reply(query, address), self.client_address)

    with socketserver.UDPServer(("127.0.0.1", 0), Asked) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield resolver(*server.server_address)
        finally:
            server.shutdown()
            thread.join()


def resolver(host: object, port: object) -> dict[str, Any]:
    """Return the part of a bootstrap that makes Envoy ask one name server and no other."""
    address = {"address": host, "port_value": port, "protocol": "UDP"}
    typed = {"@type": _CARES, "resolvers": [{"socket_address": address}]}
    return {"typed_dns_resolver_config": {"name": "envoy.network.dns_resolver.cares", "typed_config": typed}}


def _reply(query: bytes, address: str) -> bytes:
    """Return the answer to a query of one question; there is none to any but one for an IPv4 address."""
    end = query.index(b"\0", _HEADER_LENGTH) + 5
    kind = struct.unpack_from("!H", query, end - 4)[0]
    answers = 1 if kind == _A else 0
    head = struct.pack("!2sHHHHH", query[:2], _ANSWER, 1, answers, 0, 0) + query[_HEADER_LENGTH:end]
    if not answers:
        return head
    return head + struct.pack("!HHHLH4s", _POINTER_TO_QUESTION, _A, _INTERNET, _SECONDS, 4, socket.inet_aton(address))
