"""The xDS server: pure state machines (``protocol``) under a thin gRPC shell.

``server`` opens the socket, ``service`` has the discovery services (table: ``services``), ``session`` runs one stream,
``clients`` knows who is connected, ``client_status`` tells it to tools, ``security`` decides who is trusted with what.
"""

from nodegate.server.clients import Clients, ClientStatus, TypeStatus
from nodegate.server.protocol.stream import StreamOptions
from nodegate.server.security import TlsFiles
from nodegate.server.server import ServerOptions, XdsServer

__all__ = ["ClientStatus", "Clients", "ServerOptions", "StreamOptions", "TlsFiles", "TypeStatus", "XdsServer"]
