"""A listener that answers as Envoy's sockets do, decoys, and connections that tell what became of them.

An answering socket says who it is, who it sees and at which address; then it echoes.
"""

from __future__ import annotations

import errno
import socket
import struct
import threading
from contextlib import suppress
from dataclasses import dataclass

from tests.redirect.rig.namespaces import Network

_IP_TRANSPARENT, _IPV6_TRANSPARENT = 19, 75
PATIENCE = 10.0
"""Seconds after which a connection counts as hanging; no healthy one takes a hundredth of it."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Who answered a connection, and which addresses it saw."""

    who: str
    peer: str
    local: str


class Server:
    """A listening socket in one namespace. ``transparent`` and ``mark`` are as Envoy's listeners have them."""

    def __init__(
        self,
        network: Network,
        where: str,
        address: str,
        port: int,
        who: str,
        *,
        transparent: bool = False,
        mark: int = 0,
        shared: bool = False,
    ) -> None:
        self.who = who
        self._connections: list[socket.socket] = []
        self._socket = network.inside(
            where, lambda: _listen(address, port, transparent=transparent, mark=mark, shared=shared)
        )
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening. Connections go on."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()

    def end(self) -> None:
        """Stop listening and end every connection."""
        self.close()
        self.hang_up()

    def hang_up(self) -> None:
        """End every connection from this side, which then keeps it in TIME_WAIT."""
        for connection in self._connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                connection, peer = self._socket.accept()
            except OSError:
                return
            self._connections.append(connection)
            threading.Thread(target=self._serve, args=(connection, peer[0]), daemon=True).start()

    def _serve(self, connection: socket.socket, peer: str) -> None:
        with connection, suppress(OSError):
            if connection.recv(4096):
                local = connection.getsockname()
                connection.sendall(f"{self.who} {peer} {local[0]},{local[1]}\n".encode())
            while data := connection.recv(4096):
                connection.sendall(data)


def _listen(address: str, port: int, *, transparent: bool, mark: int, shared: bool) -> socket.socket:
    six = ":" in address
    listener = socket.socket(socket.AF_INET6 if six else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    if six:
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    if transparent and six:
        listener.setsockopt(socket.IPPROTO_IPV6, _IPV6_TRANSPARENT, 1)
    elif transparent:
        listener.setsockopt(socket.IPPROTO_IP, _IP_TRANSPARENT, 1)
    if mark:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, mark)
    listener.bind((address, port))
    listener.listen(512)
    return listener


class Connection:
    """One connection from a namespace. ``outcome`` is ``open``, ``refused``, ``reset``, ``timeout`` or the error."""

    def __init__(
        self,
        network: Network,
        where: str,
        address: str,
        port: int,
        *,
        mark: int = 0,
        patience: float = PATIENCE,
        own_port: int = 0,
        options: tuple[tuple[int, int, bytes], ...] = (),
    ) -> None:
        self._socket = network.inside(where, lambda: _client(address, mark, patience, own_port))
        for option in options:
            self._socket.setsockopt(*option)
        network.at_the_end.callback(self.close)
        self.outcome = "open"
        try:
            self._socket.connect((address, port))
        except OSError as error:
            self.outcome = _outcome(error)
        self.own, self.own_port = self._socket.getsockname()[:2]

    def ask(self) -> Answer | str:
        """Say something for the first time and return who answers, or what happened instead."""
        line = self._exchange(b"hello\n")
        if self.outcome != "open":
            return self.outcome
        who, peer, local = line.split()
        return Answer(who, peer, local)

    def echoes(self) -> bool:
        """Whether what is sent comes back."""
        return self._exchange(b"again\n") == "again"

    def wait_for_the_end(self) -> None:
        """Wait until the other side has hung up, and do the same."""
        assert self._socket.recv(1) == b""
        self._socket.close()

    def close(self) -> None:
        """End it at once, with a reset, so that nothing of it stays."""
        with suppress(OSError):
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()

    def _exchange(self, text: bytes) -> str:
        if self.outcome != "open":
            return self.outcome
        received = b""
        try:
            self._socket.sendall(text)
            while not received.endswith(b"\n"):
                data = self._socket.recv(4096)
                if not data:
                    self.outcome = "closed"
                    return self.outcome
                received += data
        except OSError as error:
            self.outcome = _outcome(error)
            return self.outcome
        return received.decode().strip()


def ask(network: Network, where: str, address: str, port: int, *, mark: int = 0) -> Answer | str:
    """Return who answers a new connection, or what happens instead."""
    connection = Connection(network, where, address, port, mark=mark)
    try:
        return connection.ask()
    finally:
        connection.close()


def _client(address: str, mark: int, patience: float, own_port: int) -> socket.socket:
    made = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    made.settimeout(patience)
    if mark:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, mark)
    if own_port:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(("", own_port))
    return made


def _outcome(error: OSError) -> str:
    if isinstance(error, TimeoutError):
        return "timeout"
    names = {errno.ECONNREFUSED: "refused", errno.ECONNRESET: "reset", errno.EPIPE: "reset", errno.ETIMEDOUT: "timeout"}
    return names.get(error.errno or 0, str(error))
