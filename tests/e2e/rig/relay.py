"""Carries TCP connections to an address that can change: a load balancer in front of replicas, for one client."""

from __future__ import annotations

import contextlib
import socket
import threading
from types import TracebackType
from typing import Self


class Relay:
    """Listens on loopback and carries every connection to ``to`` (HOST:PORT)."""

    def __init__(self, to: str) -> None:
        self._to = to
        self._open: set[socket.socket] = set()
        self._silent: frozenset[socket.socket] = frozenset()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._threads = [threading.Thread(target=self._accept)]

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._threads[0].join()
        self._listener.close()
        self._cut()
        for thread in self._threads[1:]:
            thread.join()

    def go_to(self, to: str) -> None:
        """Carry new connections there, and cut those that exist."""
        self._to = to
        self._cut()

    def silence(self) -> None:
        """Carry nothing any more on the connections that exist, without a word to either side; new ones are carried."""
        self._silent = frozenset(self._open)

    def _cut(self) -> None:
        for one in tuple(self._open):
            _end(one)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._threads.append(threading.Thread(target=self._carry, args=(client,)))
                self._threads[-1].start()

    def _carry(self, client: socket.socket) -> None:
        host, _, port = self._to.rpartition(":")
        with client, contextlib.suppress(OSError), socket.create_connection((host, int(port)), timeout=5) as server:
            server.settimeout(None)
            self._open |= {client, server}
            back = threading.Thread(target=self._pump, args=(server, client))
            back.start()
            self._pump(client, server)
            back.join()
            self._open -= {client, server}

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                if source not in self._silent:
                    sink.sendall(data)
        _end(source)
        _end(sink)


def _end(one: socket.socket) -> None:
    with contextlib.suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
