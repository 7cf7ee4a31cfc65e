"""The ADS server: pure state machines (``protocol``) under a thin gRPC shell."""

from nodegate.server.clients import Clients, ClientStatus, TypeStatus
from nodegate.server.protocol.stream import StreamOptions
from nodegate.server.server import XdsServer

__all__ = ["ClientStatus", "Clients", "StreamOptions", "TypeStatus", "XdsServer"]
