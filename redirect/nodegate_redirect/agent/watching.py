"""Wakes when the kernel says that something of the node changed. What it was is for others to look at."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from nodegate_redirect.errors import KernelError

_NETLINK_NETFILTER = 12
_SOL_NETLINK, _ADD_MEMBERSHIP = 270, 1
_BUFFER = 1 << 16

# RTMGRP_* of linux/rtnetlink.h: links, addresses, routes, and rules of both families.
_LINK, _IPV4_ADDRESS, _IPV4_ROUTE, _IPV4_RULE, _IPV6_ADDRESS, _IPV6_ROUTE = 0x1, 0x10, 0x40, 0x80, 0x100, 0x400
_IPV6_RULE = 1 << 18
_NODE = _LINK | _IPV4_ADDRESS | _IPV6_ADDRESS
_ROUTING = _IPV4_ROUTE | _IPV4_RULE | _IPV6_ROUTE | _IPV6_RULE
_NFTABLES_GROUP = 7  # NFNLGRP_NFTABLES


@contextmanager
def watching(on_node: Callable[[], None], on_rules: Callable[[], None]) -> Iterator[Callable[[], None]]:
    """Say while the block lasts when links, addresses or routes changed (``on_node``), and when nftables did.

    Yields a function that forgets what has been said so far: what we did ourselves is no news.
    """
    loop = asyncio.get_running_loop()
    with ExitStack() as stack:
        opened = {stack.enter_context(_route()): on_node, stack.enter_context(_nftables()): on_rules}

        def on_news(one: socket.socket) -> None:
            _drain(one)
            opened[one]()

        def forget() -> None:
            for one in opened:
                _drain(one)

        for one in opened:
            loop.add_reader(one, on_news, one)
            stack.callback(loop.remove_reader, one)
        yield forget


def _route() -> socket.socket:
    made = _netlink(socket.NETLINK_ROUTE)
    made.bind((0, _NODE | _ROUTING))
    return made


def _nftables() -> socket.socket:
    made = _netlink(_NETLINK_NETFILTER)
    made.bind((0, 0))
    try:
        made.setsockopt(_SOL_NETLINK, _ADD_MEMBERSHIP, _NFTABLES_GROUP)
    except OSError as error:
        raise KernelError(f"The kernel does not say when nftables change: {error}. It takes CAP_NET_ADMIN.") from error
    return made


def _netlink(family: int) -> socket.socket:
    try:
        return socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, family)
    except OSError as error:
        raise KernelError(f"There is no netlink socket of family {family}: {error}.") from error


def _drain(one: socket.socket) -> None:
    while True:
        try:
            one.recv(_BUFFER)
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno != errno.ENOBUFS:  # more was said than the kernel keeps: everything is looked at anyway
                raise
