"""Which ports a listener of ours listens on, as the kernel says it (``sock_diag``; DESIGN 3.3).

Layouts: ``struct inet_diag_req_v2`` and ``struct inet_diag_msg`` in Linux' ``include/uapi/linux/inet_diag.h``. Parsed
here and not by a library: a node may have tens of thousands of listening sockets, and this is asked for often.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from nodegate_redirect.errors import KernelError

_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_REQUEST_DUMP = 0x001 | 0x300
_LISTEN = 10  # TCP_LISTEN
_HEADER = struct.Struct("=IHHII")  # struct nlmsghdr
_REQUEST = struct.Struct("=BBBxI2s46x")  # struct inet_diag_req_v2, up to the port
_MESSAGE = struct.Struct("=BBBB2s2s16s16s12x12xII")  # struct inet_diag_msg
_ATTRIBUTE = struct.Struct("=HH")
_V6ONLY, _MARK, _SOCKOPT = 11, 15, 22  # INET_DIAG_SKV6ONLY, _MARK, _SOCKOPT
_TRANSPARENT = 0x20  # the sixth bit of struct inet_diag_sockopt
_ANY = bytes(16)
_ALL = 0
_BUFFER = 1 << 16


@dataclass(frozen=True, slots=True)
class Listening:
    """One listening TCP socket. ``wildcard``: it is bound to no address; ``families`` are those it answers (4, 6).

    ``user`` is the number of whose it is, ``inode`` the number by which /proc names it.
    """

    port: int
    families: tuple[int, ...]
    wildcard: bool
    transparent: bool
    mark: int
    user: int = 0
    inode: int = 0

    @property
    def serves_redirects(self) -> bool:
        """Whether redirected connections can go to it: it is transparent, and on any address."""
        return self.wildcard and self.transparent


def listening(ports: Iterable[int] = (_ALL,)) -> list[Listening]:
    """Return every listening TCP socket of this network namespace, or those on some ports; one for each worker."""
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC, _NETLINK_SOCK_DIAG) as netlink:
            families = (socket.AF_INET, socket.AF_INET6)
            return [found for port in ports for family in families for found in _dump(netlink, family, port)]
    except OSError as error:
        raise KernelError(f"The kernel does not say which sockets listen (sock_diag): {error}.") from error


def of_listeners() -> frozenset[tuple[int, int]]:
    """Return family and port of every socket that redirected connections can go to: transparent, on any address."""
    return frozenset((family, one.port) for one in listening() if one.serves_redirects for family in one.families)


def _dump(netlink: socket.socket, family: int, sport: int) -> Iterator[Listening]:
    body = _REQUEST.pack(family, socket.IPPROTO_TCP, 0, 1 << _LISTEN, sport.to_bytes(2, "big"))
    netlink.send(_HEADER.pack(_HEADER.size + len(body), _SOCK_DIAG_BY_FAMILY, _REQUEST_DUMP, 1, 0) + body)
    while True:
        data = memoryview(netlink.recv(_BUFFER))
        offset = 0
        while offset < len(data):
            length, kind, _, _, _ = _HEADER.unpack_from(data, offset)
            if kind == _NLMSG_DONE:
                return
            if kind == _NLMSG_ERROR:
                raise OSError(-int.from_bytes(data[offset + 16 : offset + 20], "little", signed=True), "sock_diag")
            yield _parse(data[offset + _HEADER.size : offset + length])
            offset += (length + 3) & ~3


def _parse(message: memoryview) -> Listening:
    family, _, _, _, port, _, address, _, user, inode = _MESSAGE.unpack_from(message)
    attributes = dict(_attributes(message[_MESSAGE.size :]))
    options, mark, v6only = attributes.get(_SOCKOPT), attributes.get(_MARK), attributes.get(_V6ONLY)
    families: tuple[int, ...] = (4,)
    if family == socket.AF_INET6:
        families = (6,) if v6only is not None and v6only[0] else (4, 6)
    return Listening(
        int.from_bytes(port, "big"),
        families,
        address == _ANY,
        options is not None and bool(options[0] & _TRANSPARENT),
        int.from_bytes(mark, "little") if mark is not None else 0,
        user,
        inode,
    )


def _attributes(data: memoryview) -> Iterator[tuple[int, memoryview]]:
    offset = 0
    while offset + _ATTRIBUTE.size <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, offset)
        if length < _ATTRIBUTE.size:
            return
        yield kind, data[offset + _ATTRIBUTE.size : offset + length]
        offset += (length + 3) & ~3
