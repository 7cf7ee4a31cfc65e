"""Nodes that are not plain: interfaces of a VLAN, no IPv6, and clients that ask the loopback address."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from nodegate_redirect.contract import Place
from tests.redirect.rig.damage import without_empty_tables
from tests.redirect.rig.kube_proxy import FAMILIES, NODE_PORT
from tests.redirect.rig.sockets import Answer, Connection
from tests.redirect.rig.world import ENVOY, MODES, PLACES, World, service, world
from tools import bpf

KUBE_PROXY_OF = {"iptables-legacy": "kube-proxy legacy, endpoints"}
VLAN = {4: ("10.0.7.1", "10.0.7.2", 24), 6: ("fd00:7::1", "fd00:7::2", 64)}
LOOPBACK = {4: "127.0.0.1", 6: "::1"}


@pytest.fixture(params=MODES)
def node(request: pytest.FixtureRequest) -> Iterator[World]:
    """Return a node where kube-proxy would send the Service to a pod that there is not."""
    with world(request.param, KUBE_PROXY_OF.get(request.param, "kube-proxy iptables, endpoints")) as made:
        yield made


def assert_served(node: World, where: str, place: Place) -> None:
    """Raise unless the listener answers, and sees the client's own address."""
    connection = Connection(node.network, where, *place, patience=3)
    answer = connection.ask()
    connection.close()
    assert isinstance(answer, Answer), (where, place, answer)
    assert (answer.who, answer.peer) == (ENVOY, connection.own)


VLAN_INTERFACE = """ip link add eth0.7 type veth peer name eth0.7-end
ip link set eth0.7 address $(ip -br link show eth0 | tr -s ' ' | cut -d ' ' -f 3)
ip link set eth0.7-end up
ip link set eth0.7 up
tc qdisc replace dev eth0 clsact
tc qdisc add dev eth0.7 clsact
tc filter add dev eth0.7 egress bpf object-file {tags} section joined action mirred egress redirect dev eth0
tc filter add dev eth0 ingress pref 200 bpf object-file {tags} section ours action mirred ingress redirect dev eth0.7"""
"""What ``type vlan id 7`` makes, put together of filters, for kernels that have no such type."""


def join_vlan(node: World, tags: Path, *, kernels_own: bool) -> None:
    """Put client and node into a VLAN, and send what the client has for the Service through it."""
    for which, where in enumerate(("node", "client")):
        if kernels_own:
            node.network.ip(where, "link add link eth0 name eth0.7 type vlan id 7")
            node.network.ip(where, "link set eth0.7 up")
        else:
            node.network.run(where, VLAN_INTERFACE.format(tags=tags))
        for *addresses, length in VLAN.values():
            node.network.ip(where, f"addr add {addresses[which]}/{length} dev eth0.7")
    for family, (gateway, _, _) in VLAN.items():
        for address in (FAMILIES[family].cluster_ip, FAMILIES[family].load_balancer):
            node.network.ip("client", f"-{family} route add {address} via {gateway}")


@pytest.fixture(params=["made of filters", pytest.param("the kernel's own", marks=pytest.mark.full)])
def vlan(request: pytest.FixtureRequest, node: World, tmp_path: Path) -> World:
    """Return the node with an interface of a VLAN, in which the client is too."""
    kernels_own = request.param == "the kernel's own"
    tags = bpf.compiled(Path(__file__).parent / "rig" / "tagging.bpf.c", tmp_path / "tagging.bpf.o")
    try:
        join_vlan(node, tags, kernels_own=kernels_own)
    except subprocess.CalledProcessError as error:
        if not kernels_own:
            raise
        pytest.skip(f"this kernel has no interfaces of VLANs (CONFIG_VLAN_8021Q): {error.stderr.decode().strip()}")
    return node


def test_clients_behind_a_vlan_interface_of_the_node_reach_the_listener(vlan: World) -> None:
    """The interface of a VLAN is like any other; the one below it leaves tagged packets alone (redirect 18)."""
    vlan.listen()
    vlan.apply(service())
    for family, (gateway, _, _) in VLAN.items():
        for place in (PLACES["ClusterIP"](family), PLACES["load balancer"](family), Place(gateway, NODE_PORT)):
            assert_served(vlan, "client", place)
            assert vlan.network.inside("node", vlan.mode.counters)[place].connections == 1


def tag(node: World, section: str, folder: Path) -> None:
    """Let a program of the rig tag what the client sends."""
    made = bpf.compiled(Path(__file__).parent / "rig" / "tagging.bpf.c", folder / "tagging.bpf.o")
    filtered = f"tc filter add dev eth0 egress bpf direct-action object-file {made} section {section}"
    node.network.run("client", f"tc qdisc add dev eth0 clsact; {filtered}")


def test_packets_with_a_priority_tag_reach_the_listener(node: World, tmp_path: Path) -> None:
    """The tag is beside the packet and not in it, and VLAN 0 is no VLAN (redirect 18)."""
    tag(node, "prioritized", tmp_path)
    node.listen()
    node.apply(service())
    for place in PLACES.values():
        assert_served(node, "client", place(4))


def test_packets_of_a_vlan_that_the_node_is_not_in_are_left_alone(node: World, tmp_path: Path) -> None:
    """They are nobody's here: none is counted, let alone answered (redirect 18)."""
    tag(node, "tagged", tmp_path)
    node.listen()
    node.apply(service())
    place = PLACES["ClusterIP"](4)
    assert Connection(node.network, "client", *place, patience=0.5).outcome == "timeout"
    assert node.network.inside("node", node.mode.counters)[place].connections == 0


ROUTED = {4: "10.9.9.9", 6: "fd00:9::9"}
ROUTED_POD = """ip link add cali0 type veth peer name eth1 netns {pod}
ip link set cali0 up
ip -6 addr add fe80::1/64 dev cali0 nodad
ip route add {four} dev cali0
ip -6 route add {six} dev cali0
sysctl -qw net.ipv4.conf.cali0.proxy_arp=1"""
ITS_WAY_OUT = """ip link set eth1 up
ip addr add {four}/32 dev eth1
ip -6 addr add {six}/128 dev eth1 nodad
ip route add 169.254.1.1 dev eth1"""


def test_a_pod_on_a_link_of_its_own_reaches_the_listener(node: World) -> None:
    """Where a CNI has no bridge the node routes to each pod: one address, and a gateway that is none (issue 7, 5)."""
    addresses = {"four": ROUTED[4], "six": ROUTED[6]}
    node.network.run("node", ROUTED_POD.format(pod=node.network.path("pod1").name, **addresses))
    node.network.run("pod1", ITS_WAY_OUT.format(**addresses))
    node.listen()
    node.apply(service())
    for family, gateway in ((4, "169.254.1.1"), (6, "fe80::1")):
        for name in ("ClusterIP", "load balancer", "NodePort"):
            place = PLACES[name](family)
            node.network.ip("pod1", f"-{family} route add {place.address} via {gateway} dev eth1 src {ROUTED[family]}")
            assert_served(node, "pod1", place)


def test_a_strict_reverse_path_filter_and_no_early_demultiplexing_change_nothing(node: World) -> None:
    """Distributions filter by reverse path; a withdrawn connection lives by a rule, not by luck (redirect 8)."""
    node.network.run("node", "sysctl -qw net.ipv4.conf.all.rp_filter=1 net.ipv4.tcp_early_demux=0")
    for device in ("default", "lo", "eth0", "cbr0"):
        node.network.run("node", f"sysctl -qw net.ipv4.conf.{device}.rp_filter=1")
    node.listen()
    node.apply(service())
    clients = ("client", "pod1", "node")
    open_ones = [Connection(node.network, where, *place(4)) for where in clients for place in PLACES.values()]
    answers = [connection.ask() for connection in open_ones]
    assert [(answer.who, answer.peer) for answer in answers if isinstance(answer, Answer)] == [
        (ENVOY, connection.own) for connection in open_ones
    ]
    node.apply()
    assert all(connection.echoes() for connection in open_ones)


def test_a_node_port_is_there_for_the_nodes_own_clients_on_the_loopback_addresses_too(node: World) -> None:
    """NodePort is on every address of the node, 127.0.0.1 and ::1 are among them (redirect 1, redirect-facts D4)."""
    node.listen()
    node.apply(service())
    for address in LOOPBACK.values():
        assert_served(node, "node", Place(address, NODE_PORT))
    node.apply()
    for address in LOOPBACK.values():
        assert Place(address, NODE_PORT) not in node.network.inside("node", node.mode.installed)


@pytest.fixture(params=MODES)
def node_without_ipv6(request: pytest.FixtureRequest) -> Iterator[World]:
    """Return a node on which IPv6 is switched off, without any rules."""
    with world(request.param) as made:
        made.network.run("node", "sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1")
        yield made


def test_a_node_without_ipv6_serves_ipv4(node_without_ipv6: World) -> None:
    """Nothing fails, nothing is repaired again and again, and cleanup leaves the node as it was."""
    node = node_without_ipv6
    before = node.kernel()
    node.listen()
    only_ipv4 = replace(service(), places=tuple(one for one in service().places if one[0].family == 4))
    node.apply(only_ipv4)
    for where in ("client", "pod1", "node"):
        for place in PLACES.values():
            assert_served(node, where, place(4))
    assert node.apply(only_ipv4).changes == ()
    node.cleanup()
    assert without_empty_tables(node.kernel()) == without_empty_tables(before)
