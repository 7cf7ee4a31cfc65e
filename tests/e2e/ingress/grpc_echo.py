"""A backend that speaks gRPC."""

from __future__ import annotations

from concurrent import futures
from typing import Any

import grpc


class GrpcEcho:
    """A gRPC server, which speaks HTTP/2 without TLS only, and answers any method with its request."""

    def __init__(self) -> None:
        self.server = grpc.server(futures.ThreadPoolExecutor(2))
        self.port = self.server.add_insecure_port("127.0.0.1:0")
        self.server.add_generic_rpc_handlers((self,))
        self.server.start()

    def service(self, _details: Any) -> Any:
        """Return the handler of every method."""
        return grpc.unary_unary_rpc_method_handler(lambda request, _: b"echo " + request)
