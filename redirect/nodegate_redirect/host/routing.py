"""Policy routing: packets with the mark of a listener are delivered on this node, whatever their destination.

``ip rule add pref 9 fwmark 0x200/0xf00 lookup 2004`` and ``ip route add local default dev lo table 2004``, for IPv4
and IPv6 (redirect 10).
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from nodegate_redirect.errors import KernelError
from nodegate_redirect.marks import KIND_MASK, ROUTE_TABLE, RULE_PRIORITY, TO_LISTENER

FAMILIES = (4, 6)
_AF = {4: int(socket.AF_INET), 6: int(socket.AF_INET6)}
_ANY = {4: "0.0.0.0/0", 6: "::/0"}
_SCOPE_HOST = 254
_LOCAL = 2  # RTN_LOCAL
_NO_IPV6 = Path("/proc/sys/net/ipv6/conf/lo/disable_ipv6")  # not there when the kernel has no IPv6 at all


def ensure() -> list[str]:
    """Put the rule and the route there where they are missing; return a sentence for each.

    Nothing for IPv6 where the node has it switched off: the kernel takes no route then, and nobody needs one.
    """
    done = []
    with _netlink() as netlink:
        for family in _enabled():
            if not _rules(netlink, family):
                netlink.rule("add", **_rule(family))
                done.append(f"ip -{family} rule for the mark: made.")
            if not _routes(netlink, family):
                netlink.route("add", **_route(netlink, family))
                done.append(f"ip -{family} route in table {ROUTE_TABLE}: made.")
    return done


def remove() -> list[str]:
    """Remove the rule and the route; return a sentence for each that was there."""
    done = []
    with _netlink() as netlink:
        for family in FAMILIES:
            for _ in _rules(netlink, family):
                netlink.rule("del", **_rule(family))
                done.append(f"ip -{family} rule for the mark is removed.")
            for _ in _routes(netlink, family):
                netlink.route("del", **_route(netlink, family))
                done.append(f"ip -{family} route in table {ROUTE_TABLE} is removed.")
    return done


def _enabled() -> tuple[int, ...]:
    try:
        return FAMILIES if int(_NO_IPV6.read_text()) == 0 else (4,)
    except FileNotFoundError:
        return (4,)


@contextmanager
def _netlink() -> Iterator[Any]:
    try:
        with IPRoute() as netlink:
            yield netlink
    except (NetlinkError, OSError) as error:
        raise KernelError(f"Policy routing for the mark {TO_LISTENER:#x} cannot be set up: {error}.") from error


def _rule(family: int) -> dict[str, Any]:
    mark = {"fwmark": TO_LISTENER, "fwmask": KIND_MASK}
    return {"family": _AF[family], "priority": RULE_PRIORITY, "table": ROUTE_TABLE, **mark}


def _route(netlink: Any, family: int) -> dict[str, Any]:
    loopback = netlink.link_lookup(ifname="lo")[0]
    where = {"table": ROUTE_TABLE, "oif": loopback, "scope": _SCOPE_HOST}
    return {"family": _AF[family], "dst": _ANY[family], "type": "local", **where}


def _rules(netlink: Any, family: int) -> list[Any]:
    listed = netlink.get_rules(family=_AF[family])
    wanted = (RULE_PRIORITY, TO_LISTENER, KIND_MASK, ROUTE_TABLE)
    names = ("FRA_PRIORITY", "FRA_FWMARK", "FRA_FWMASK", "FRA_TABLE")
    return [rule for rule in listed if tuple(rule.get_attr(name) for name in names) == wanted]


def _routes(netlink: Any, family: int) -> list[Any]:
    listed = netlink.get_routes(family=_AF[family], table=ROUTE_TABLE)
    return [route for route in listed if route["type"] == _LOCAL and route["dst_len"] == 0]
