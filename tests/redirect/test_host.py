"""What the kernel says about a node: sockets that listen, addresses, interfaces, programs that fail."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from nodegate_redirect.errors import KernelError, UnsupportedError
from nodegate_redirect.host import addresses, commands, interfaces, routing, sockets
from tests.redirect.rig.namespaces import Network, network


@pytest.fixture(scope="module")
def net() -> Iterator[Network]:
    """Return a network in which nothing listens."""
    with network() as made:
        yield made


def listen(address: str, port: int, *, transparent: bool = True, v6only: bool = True) -> socket.socket:
    """Return a listening socket of the calling thread's namespace."""
    six = ":" in address
    made = socket.socket(socket.AF_INET6 if six else socket.AF_INET)
    if six:
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(v6only))
    if transparent:
        made.setsockopt(*((socket.IPPROTO_IPV6, 75) if six else (socket.IPPROTO_IP, 19)), 1)
    made.bind((address, port))
    made.listen()
    return made


def test_only_transparent_sockets_on_any_address_count_and_each_for_its_families(net: Network) -> None:
    """A redirect waits for a socket that can serve it (DESIGN 3.3, redirect 15)."""
    with ExitStack() as stack:
        for address, port, options in (
            ("0.0.0.0", 1001, {}),
            ("::", 1002, {}),
            ("::", 1003, {"v6only": False}),
            ("127.0.0.1", 1004, {}),
            ("0.0.0.0", 1005, {"transparent": False}),
        ):
            made = net.inside("node", lambda a=address, p=port, o=options: listen(a, p, **o))  # type: ignore[misc]
            stack.enter_context(made)
        found = net.inside("node", sockets.of_listeners)
    assert found == {(4, 1001), (6, 1002), (4, 1003), (6, 1003)}
    assert net.inside("node", sockets.of_listeners) == frozenset()


def test_every_socket_is_found_however_many_there_are(net: Network) -> None:
    """The kernel answers in many parts; none may be lost."""
    with ExitStack() as stack:
        for port in range(2000, 2900):
            stack.enter_context(net.inside("node", lambda p=port: listen("0.0.0.0", p)))  # type: ignore[misc]
        found = net.inside("node", sockets.of_listeners)
    assert found == {(4, port) for port in range(2000, 2900)}


def test_the_addresses_of_a_node_are_all_but_the_link_local_ones(net: Network) -> None:
    assert net.inside("node", addresses.of_node) == {
        "127.0.0.1",
        "::1",
        "10.0.1.1",
        "fd00:1::1",
        "10.244.0.1",
        "fd00:244::1",
    }


def test_the_interfaces_with_frames_are_bridge_ports_and_loopback_too(net: Network) -> None:
    """On a bridge the program has to be on the bridge and on its ports (redirect 13)."""
    found = set(net.inside("node", interfaces.with_frames).values())
    assert found == {"lo", "eth0", "cbr0", "vpod1", "vpod2"}


def test_routing_is_put_there_once_and_removed_once(net: Network) -> None:
    """And the kernel's own rule for local addresses stays where it is (redirect 10)."""
    show = "ip rule; ip -6 rule; for f in -4 -6; do ip $f route show table all | grep -v ' proto kernel '; done"
    before = net.run("node", show)
    assert len(net.inside("node", routing.ensure)) == 4
    assert net.inside("node", routing.ensure) == []
    for family in (4, 6):
        local, ours, *_ = net.run("node", f"ip -{family} rule").splitlines()
        assert (local, ours) == ("0:\tfrom all lookup local", "9:\tfrom all fwmark 0x200/0xf00 lookup 2004")
        assert re.match("local default dev lo ", net.run("node", f"ip -{family} route show table 2004"))
    assert len(net.inside("node", routing.remove)) == 4
    assert net.run("node", show) == before
    assert net.inside("node", routing.remove) == []


def test_a_program_that_fails_is_an_error_with_the_command_and_what_it_said() -> None:
    with pytest.raises(KernelError, match=r"nft -f - failed with status 1: .*syntax error"):
        commands.run(["nft", "-f", "-"], "no such thing\n")


def test_a_program_that_there_is_not_is_an_error_with_the_package() -> None:
    with pytest.raises(UnsupportedError, match=r"no program nodegate-none here. Install it \(Debian: none\)"):
        commands.find("nodegate-none", "none")
