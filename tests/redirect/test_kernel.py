"""What happens beside the straight road: SYN cookies, TIME_WAIT, several sockets, other filters, bad programs."""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from nodegate_redirect.ebpf import EbpfMode
from nodegate_redirect.errors import KernelError
from tests.redirect.rig.kube_proxy import FAMILIES
from tests.redirect.rig.namespaces import ADDRESSES
from tests.redirect.rig.raw import answers_in_fragments
from tests.redirect.rig.sockets import Answer, Connection, ask
from tests.redirect.rig.world import ENVOY, MODES, PINS, PLACES, POD, World, service, world
from tools import bpf

KUBE_PROXY_OF = {"iptables-legacy": "kube-proxy legacy, endpoints"}


@pytest.fixture(params=MODES)
def node(request: pytest.FixtureRequest) -> Iterator[World]:
    """Return a node where kube-proxy would send the Service to a pod that there is not."""
    with world(request.param, KUBE_PROXY_OF.get(request.param, "kube-proxy iptables, endpoints")) as made:
        yield made


def test_connections_begin_with_syn_cookies_too(node: World) -> None:
    """The last packet of a handshake by cookie belongs to no socket yet and reaches the listener (redirect 14)."""
    node.listen()
    node.apply(service())
    node.network.run("node", "sysctl -qw net.ipv4.tcp_syncookies=2")
    for family in FAMILIES:
        for where in ("client", "pod1", "node"):
            for place in PLACES.values():
                answer = ask(node.network, where, *place(family))
                assert isinstance(answer, Answer), (where, place(family), answer)
                assert answer.who == ENVOY


@pytest.mark.parametrize("family", FAMILIES)
def test_a_client_may_use_its_port_again_while_our_side_is_in_time_wait(node: World, family: int) -> None:
    """The closer keeps TIME_WAIT, which is often Envoy; the client's next connection must not hang (redirect 14)."""
    servers = node.listen()
    node.apply(service())
    for place in (PLACES["ClusterIP"](family), PLACES["NodePort"](family)):
        first = Connection(node.network, "client", *place)
        assert isinstance(first.ask(), Answer)
        for server in servers:
            server.hang_up()
        first.wait_for_the_end()
        again = Connection(node.network, "client", *place, own_port=first.own_port)
        assert isinstance(again.ask(), Answer), again.outcome


def test_connections_are_spread_over_the_sockets_of_a_listener(node: World) -> None:
    """A listener has a socket for each worker (enable_reuse_port), and all of them get connections (redirect 15)."""
    node.listen(who="one", shared=True)
    node.listen(who="two", shared=True)
    node.apply(service())
    for family in FAMILIES:
        answers = [ask(node.network, "client", *PLACES["ClusterIP"](family)) for _ in range(60)]
        spread = Counter(answer.who for answer in answers if isinstance(answer, Answer))
        assert sum(spread.values()) == 60
        assert set(spread) == {"one", "two"}


@pytest.mark.parametrize("where", ["client", "pod1", "node"])
def test_connections_and_their_packets_are_counted_for_each_place(node: World, where: str) -> None:
    """Once each, wherever the client is (issue 7, 2): what it sends three times, and the kernel's acknowledgements."""
    node.listen()
    node.apply(service())
    for family in FAMILIES:
        place = PLACES["ClusterIP"](family)
        for _ in range(3):
            connection = Connection(node.network, where, *place)
            assert isinstance(connection.ask(), Answer)
            assert connection.echoes()
            connection.close()
        count = node.network.inside("node", node.mode.counters)[place]
        assert count.connections == 3
        assert 3 * 4 <= count.packets <= 3 * 8
        assert count.bytes > 40 * count.packets


IP_OPTIONS = (socket.IPPROTO_IP, socket.IP_OPTIONS, bytes([1, 1, 1, 0]))
DESTINATION_OPTIONS = (socket.IPPROTO_IPV6, socket.IPV6_DSTOPTS, bytes([0, 0, 1, 4, 0, 0, 0, 0]))


@pytest.fixture
def beside_kube_proxy() -> Iterator[World]:
    """Return a node in eBPF mode, with a listener and a Service that kube-proxy would send to a pod."""
    with world("ebpf", "kube-proxy iptables, endpoints") as made:
        made.pods()
        made.listen()
        made.apply(service())
        yield made


@pytest.mark.parametrize(("family", "option"), [(4, IP_OPTIONS), (6, DESTINATION_OPTIONS)])
def test_what_the_program_does_not_understand_passes_untouched_and_is_counted(
    beside_kube_proxy: World, family: int, option: tuple[int, int, bytes]
) -> None:
    """IPv4 options and IPv6 extension headers: they go on to whoever served them before (redirect 18)."""
    node, place = beside_kube_proxy, PLACES["ClusterIP"](family)
    answer = Connection(node.network, "client", *place, options=(option,)).ask()
    assert isinstance(answer, Answer), answer
    assert answer.who == POD
    assert node.network.inside("node", node.mode.events)["not_understood"] > 2
    assert node.network.inside("node", node.mode.counters)[place].connections == 0


def test_a_first_packet_in_fragments_passes_untouched_and_is_counted(beside_kube_proxy: World) -> None:
    """Only the first fragment has ports, and no fragment is a packet to decide on (redirect 18)."""
    node, place = beside_kube_proxy, PLACES["ClusterIP"](4)
    own = ADDRESSES["client", "eth0"][0].partition("/")[0]
    assert node.network.inside("client", lambda: answers_in_fragments(own, *place))
    assert node.network.inside("node", node.mode.events)["not_understood"] >= 2
    assert node.network.inside("node", node.mode.counters)[place].connections == 0


@pytest.fixture
def ebpf() -> Iterator[World]:
    """Return a node without any other rules, in eBPF mode."""
    with world("ebpf") as made:
        yield made


def test_a_new_program_takes_the_place_of_the_old_one_and_nothing_is_lost(ebpf: World, tmp_path: Path) -> None:
    """An upgrade keeps maps, connections and counters (redirect 17)."""
    ebpf.listen()
    ebpf.apply(service())
    place = PLACES["ClusterIP"](4)
    old = Connection(ebpf.network, "client", *place)
    assert isinstance(old.ask(), Answer)
    upgraded = tmp_path / "redirect.bpf.o"
    upgraded.write_bytes(bpf.build().read_bytes() + b"\0")  # another file, so another version
    ebpf.mode = ebpf.network.inside("node", lambda: EbpfMode(upgraded, PINS))
    changes = ebpf.apply(service()).changes
    assert sum("attached" in change for change in changes) == 5
    assert sum("forgotten" in change for change in changes) == 1
    assert old.echoes()
    assert isinstance(ask(ebpf.network, "client", *place), Answer)
    assert ebpf.network.inside("node", ebpf.mode.counters)[place].connections == 2


def test_an_interface_that_appears_gets_the_program_and_other_filters_stay(ebpf: World) -> None:
    ebpf.listen()
    theirs = f"bpf direct-action object-file {bpf.build()} section tc"
    ebpf.network.run("node", f"tc qdisc add dev eth0 clsact; tc filter add dev eth0 ingress pref 7 {theirs}")
    before = ebpf.network.run("node", "tc filter show dev eth0 ingress")
    ebpf.apply(service())
    ebpf.network.ip("node", "link add late type veth peer name early")
    assert sum("attached" in change for change in ebpf.apply(service()).changes) == 2
    ebpf.cleanup()
    assert ebpf.network.run("node", "tc filter show dev eth0 ingress") == before


def test_a_program_that_the_verifier_refuses_is_an_error_with_its_log(ebpf: World, tmp_path: Path) -> None:
    """Nobody should have to load it again by hand to learn why (issue 7, 4)."""
    source = Path(__file__).parent / "rig" / "refused.bpf.c"
    wrong = ebpf.network.inside("node", lambda: EbpfMode(bpf.compiled(source, tmp_path / "program.bpf.o"), PINS))
    with pytest.raises(KernelError, match="invalid access to packet"):
        ebpf.network.inside("node", lambda: wrong.apply(ebpf.plan(service())))
