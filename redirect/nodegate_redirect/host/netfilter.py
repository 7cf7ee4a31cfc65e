"""Heads: what netfilter says of a table, chain, set or ipset without what is in it. They cost microseconds at any size.

A head tells whether a thing is the one that was there before (its handle), and how much is in it: rules and jumps to a
chain, elements of a set (nftables says that from Linux 6.16 on) or an ipset, and how many rules name an ipset. What it
says is not read here but compared, so any difference shows. Formats: Linux' ``include/uapi/linux/netfilter/``,
``nfnetlink.h``, ``nf_tables.h`` and ``ipset/ip_set.h``.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable, Iterator

from nodegate_redirect.errors import KernelError

FAMILIES = {"ip": 2, "inet": 1, "ip6": 10}
_NETLINK_NETFILTER = 12
_IPSET, _NF_TABLES = 6 << 8, 10 << 8  # NFNL_SUBSYS_*
_GET_TABLE, _GET_CHAIN, _GET_SET = _NF_TABLES | 1, _NF_TABLES | 4, _NF_TABLES | 10
_LIST = _IPSET | 7
_REQUEST, _DUMP, _MULTI = 0x001, 0x300, 0x002
_ERROR, _DONE = 2, 3
_HEADER = struct.Struct("=IHHII")  # struct nlmsghdr
_FAMILY = struct.Struct("=BBH")  # struct nfgenmsg; its last field changes with every change of anything
_ATTRIBUTE = struct.Struct("=HH")
_IPSET_PROTOCOL, _HEADER_ONLY = b"\7", struct.pack(">I", 4)  # IPSET_FLAG_LIST_HEADER
_BUFFER = 1 << 16


def table(family: str, name: str) -> bytes:
    """Return the question for the head of a table of nftables; ``family`` is ip, ip6 or inet."""
    return _message(_GET_TABLE, _REQUEST, FAMILIES[family], {1: _text(name)})


def chain(family: str, of: str, name: str) -> bytes:
    """Return the question for the head of a chain. It counts packets if it is one of iptables' built-in ones."""
    return _message(_GET_CHAIN, _REQUEST, FAMILIES[family], {1: _text(of), 3: _text(name)})


def elements(family: str, of: str, name: str) -> bytes:
    """Return the question for the head of a set or a map of nftables."""
    return _message(_GET_SET, _REQUEST, FAMILIES[family], {1: _text(of), 2: _text(name)})


def ipset(name: str) -> bytes:
    """Return the question for the head of an ipset."""
    attributes = {1: _IPSET_PROTOCOL, 2: _text(name), 6: _HEADER_ONLY}
    return _message(_LIST, _REQUEST | _DUMP, FAMILIES["ip"], attributes)


def heads(questions: Iterable[bytes]) -> tuple[bytes, ...]:
    """Return the answers in the order of the questions; for what is not there that is the kernel's error."""
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_NETFILTER) as netlink:
            netlink.bind((0, 0))
            return tuple(b"".join(_answers(netlink, question)) for question in questions)
    except OSError as error:
        raise KernelError(f"The kernel does not say what netfilter holds: {error}. It takes CAP_NET_ADMIN.") from error


def _answers(netlink: socket.socket, question: bytes) -> Iterator[bytes]:
    netlink.send(question)
    while True:
        data, offset = netlink.recv(_BUFFER), 0
        while offset < len(data):
            length, kind, flags, _, _ = _HEADER.unpack_from(data, offset)
            if kind == _DONE:
                return
            yield data[offset + _HEADER.size + _FAMILY.size : offset + length]
            if kind == _ERROR or not flags & _MULTI:
                return
            offset += (length + 3) & ~3


def _message(kind: int, flags: int, family: int, attributes: dict[int, bytes]) -> bytes:
    body = _FAMILY.pack(family, 0, 0)
    for number, value in attributes.items():
        size = _ATTRIBUTE.size + len(value)
        body += _ATTRIBUTE.pack(size, number) + value + bytes(-size % 4)
    return _HEADER.pack(_HEADER.size + len(body), kind, flags, 1, 0) + body


def _text(name: str) -> bytes:
    return name.encode() + b"\0"
