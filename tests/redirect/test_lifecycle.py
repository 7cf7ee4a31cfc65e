"""What is open goes on, whatever changes; what is gone is refused; what a stranger breaks is repaired."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import pytest

from nodegate_redirect.agent.kernel import Kernel
from nodegate_redirect.contract import Place, Redirect
from tests.redirect.rig.damage import FLUSHES, ours, without_empty_tables
from tests.redirect.rig.kube_proxy import FAMILIES
from tests.redirect.rig.sockets import Answer, Connection, ask
from tests.redirect.rig.world import ENVOY, MODES, PLACES, POD, World, service, world

KUBE_PROXY_OF = {"iptables-legacy": "kube-proxy legacy, endpoints"}
CLIENTS = ("client", "pod1", "node")


@pytest.fixture(params=MODES)
def node(request: pytest.FixtureRequest) -> Iterator[World]:
    """Return a node where kube-proxy sends the Service to a pod, with a listener that nothing goes to yet."""
    with world(request.param, KUBE_PROXY_OF.get(request.param, "kube-proxy iptables, endpoints")) as made:
        made.pods()
        made.listen()
        yield made


def connect(node: World, clients: tuple[str, ...] = CLIENTS) -> list[Connection]:
    """Return one connection from each client to each frontend, not used yet."""
    places = [place(family) for family in FAMILIES for place in PLACES.values()]
    return [Connection(node.network, where, *place) for where in clients for place in places]


def who(connections: list[Connection]) -> set[str]:
    """Return who answers these connections."""
    answers = [connection.ask() for connection in connections]
    return {answer.who if isinstance(answer, Answer) else answer for answer in answers}


def test_connections_that_kube_proxy_has_already_go_on_when_a_frontend_is_added(node: World) -> None:
    """Adding a frontend affects new connections only (redirect 6, 14)."""
    old = connect(node)
    assert who(old) == {POD}
    node.apply(service())
    assert who(connect(node)) == {ENVOY}
    assert all(connection.echoes() for connection in old)


def test_connections_that_another_program_of_the_node_has_go_on_when_a_frontend_is_added(node: World) -> None:
    """Its port on an address of the node becomes an external IP of the Service: that is for new ones (redirect 6)."""
    node.stranger(8443)
    place = Place(FAMILIES[4].node, 8443)
    old = [Connection(node.network, where, *place) for where in CLIENTS]
    assert who(old) == {"stranger"}
    node.apply(replace(service(), places=((place, False),)))
    assert who([Connection(node.network, where, *place) for where in CLIENTS]) == {ENVOY}
    assert [connection.echoes() for connection in old] == [True, True, True]


def test_connections_to_the_listener_survive_a_withdrawal_and_a_route_change(node: World) -> None:
    """A withdrawn frontend affects new connections only, used or silent until then (redirect 6, 8, 16)."""
    node.apply(service())
    active, silent = connect(node), connect(node)
    assert who(active) == {ENVOY}
    node.apply()
    node.network.ip("node", "route add 192.0.2.0/24 via 10.0.1.2")
    node.network.ip("node", "-6 route add 2001:db8:1::/64 via fd00:1::2")
    assert all(connection.echoes() for connection in active)
    assert who(silent) == {ENVOY}
    assert who(connect(node)) == {POD}


def test_connections_to_the_listener_survive_a_withdrawal_and_a_flush_of_conntrack(node: World) -> None:
    """What comes in from outside and from pods needs no entry in conntrack to go on (redirect 6, 16)."""
    node.apply(service())
    active, silent = connect(node, ("client", "pod1")), connect(node, ("client", "pod1"))
    assert who(active) == {ENVOY}
    node.apply()
    node.network.run("node", "conntrack -F 2>/dev/null")
    assert all(connection.echoes() for connection in active)
    assert who(silent) == {ENVOY}


def test_a_frontend_without_a_listener_is_left_to_kube_proxy_until_there_is_one(node: World) -> None:
    """A redirect is installed when a socket listens on its port (redirect 3)."""
    node.apply(service(18300))
    assert who(connect(node)) == {POD}
    node.listen(18300, who="late")
    node.apply(service(18300))
    assert who(connect(node)) == {"late"}


def test_a_listener_that_is_gone_is_a_refusal_and_its_return_is_enough(node: World) -> None:
    """A dead listener is a clean refusal, counted, never a timeout and never a loop."""
    first = node.listen(18301, who="first")
    node.apply(service(18301))
    assert who(connect(node)) == {"first"}
    for server in first:
        server.end()
    node.apply(service(18301))
    before = node.network.inside("node", node.mode.events)["refused"]
    in_vain = connect(node)
    assert {connection.outcome for connection in in_vain} == {"refused"}
    assert node.network.inside("node", node.mode.events)["refused"] >= before + len(in_vain)
    node.listen(18301, who="second")
    node.apply(service(18301))
    assert who(connect(node)) == {"second"}


@pytest.mark.parametrize("mode", MODES)
def test_a_listener_that_is_gone_refuses_the_frames_of_a_bridge_as_well(mode: str) -> None:
    """Whether the agent has noticed or not: with ``bridge-nf-call-iptables`` frames of pods take another road."""
    with world(mode, KUBE_PROXY_OF.get(mode, "kube-proxy iptables, endpoints"), bridged=True) as node:
        servers = node.listen()
        node.apply(service())
        assert who(connect(node, ("pod1",))) == {ENVOY}
        for server in servers:
            server.end()
        unnoticed = {connection.outcome for connection in connect(node, ("pod1",))}
        node.apply(service())
        assert (unnoticed, {connection.outcome for connection in connect(node, ("pod1",))}) == (
            {"refused"},
            {"refused"},
        )


def test_a_listener_moves_to_another_port_without_a_refused_connection(node: World) -> None:
    """A new port is a new listener beside the old one, and frontends move when it listens (redirect 5)."""
    node.apply(service())
    old = connect(node)
    assert who(old) == {ENVOY}
    node.apply(service(18302))
    assert who(connect(node)) == {ENVOY}
    node.listen(18302, who="moved")
    node.apply(service(18302))
    assert who(connect(node)) == {"moved"}
    assert all(connection.echoes() for connection in old)


def test_only_clients_in_the_source_ranges_reach_a_restricted_frontend(node: World) -> None:
    """The source ranges of a Service hold for the load balancer's addresses, and for no other frontend."""
    node.apply(service(ranges=("10.244.0.0/16", "fd00:244::/64")))
    for family in FAMILIES:
        place = PLACES["load balancer"](family)
        for where in ("client", "node"):
            outside = Connection(node.network, where, *place, patience=0.5)
            assert outside.outcome == "timeout"
            outside.close()
        assert node.network.inside("node", node.mode.events)["forbidden"] >= 2
        assert isinstance(ask(node.network, "pod1", *place), Answer)
        assert isinstance(ask(node.network, "client", *PLACES["ClusterIP"](family)), Answer)
    node.apply(service(ranges=("0.0.0.0/0", "::/0")))
    assert who(connect(node)) == {ENVOY}


def test_what_is_right_is_not_touched(request: pytest.FixtureRequest, node: World) -> None:
    """Applying a plan twice changes nothing, and a new process finds that all is right (redirect 6)."""
    node.apply(service())
    before = node.kernel()
    assert node.apply(service()).changes == ()
    node.mode = node.network.inside("node", MODES[request.node.callspec.params["node"]])
    assert node.apply(service()).changes == ()
    assert node.kernel() == before


def test_changes_to_what_is_remembered_end_where_a_comparison_would(
    request: pytest.FixtureRequest, node: World
) -> None:
    """The short way, taken for each change, and the long way, taken now and then, agree after every step."""
    node.listen(18302, who="moved")
    node.apply()
    steps = (
        (service(),),
        (service(), other()),
        (service(ranges=("10.0.0.0/8", "192.0.2.1/32")), other()),
        (service(18302, ranges=("10.0.0.0/8",)), other()),
        (service(18302),),
        (),
        (service(),),
    )
    for step in steps:
        node.apply(*step, trust=True)
        remembering, node.mode = node.mode, node.network.inside("node", MODES[request.node.callspec.params["node"]])
        changes = node.apply(*step).changes
        made_anew = node.mode.name == "nftables" and any(redirect.ranges for redirect in step)  # by design
        assert changes == () or made_anew, step
        node.mode = remembering
    assert who(connect(node)) == {ENVOY}


DAMAGES = [pytest.param(mode, FLUSHES[mode][what], id=f"{mode}-{what}") for mode in FLUSHES for what in FLUSHES[mode]]


@pytest.mark.parametrize(("node", "damage"), DAMAGES, indirect=["node"])
def test_what_a_stranger_flushes_or_moves_is_repaired(node: World, damage: str) -> None:
    """Our jump stays before kube-proxy's, and what is missing is put back (redirect 11)."""
    node.apply(service())
    before = node.kernel()
    node.network.run("node", damage)
    assert node.apply(service()).changes
    assert who(connect(node)) == {ENVOY}
    assert ours(node.kernel()) == ours(before)


SEEN = [damage for damage in DAMAGES if not str(damage.id).endswith("-order")]


@pytest.mark.parametrize(("node", "damage"), SEEN, indirect=["node"])
def test_the_next_look_sees_a_flush_and_repairs_it_whatever_the_number_of_services(node: World, damage: str) -> None:
    """Heads cost the same at any size, and when all is right nothing is compared (decision 0021)."""
    if "nft flush set" in damage or "nft flush map" in damage:
        needs_counts_of_nftables()
    kernel = Kernel(node.mode)
    look = partial(node.network.inside, "node", partial(kernel.bring, {}, look=True, compare=False))
    node.network.inside("node", partial(kernel.bring, {service().name: service()}, look=True, compare=True))
    before = ours(node.kernel())
    assert (look().compared, look().changes) == (False, ())
    node.network.run("node", damage)
    assert look().repaired
    assert ours(node.kernel()) == before
    assert who(connect(node)) == {ENVOY}
    assert (look().compared, look().changes) == (False, ())


RANGES = {
    "nftables": "nft flush set inet nodegate allowed4",
    "iptables-nft": "ipset flush nodegate4-allowed",
    "iptables-legacy": "ipset flush nodegate4-allowed",
}
"""eBPF keeps them in a map of its own, which no program of netfilter can flush."""


@pytest.mark.parametrize(("node", "damage"), RANGES.items(), indirect=["node"])
def test_source_ranges_that_a_stranger_flushes_hold_again(node: World, damage: str) -> None:
    """Without them nobody is served; with them again who is in one is."""
    if node.mode.name == "nftables":
        needs_counts_of_nftables()
    ranges, place = service(ranges=("10.244.0.0/16", "fd00:244::/64")), PLACES["load balancer"](4)
    node.apply(ranges)
    node.network.run("node", damage)
    assert ask(node.network, "pod1", *place) == "timeout"
    assert node.apply(ranges).changes
    assert isinstance(ask(node.network, "pod1", *place), Answer)


def test_a_change_that_comes_before_the_next_look_does_not_hide_a_flush(node: World) -> None:
    """What a change leaves behind is what is trusted from then on, so a flush is repaired first."""
    if node.mode.name == "nftables":
        needs_counts_of_nftables()
    kernel = Kernel(node.mode)
    change = partial(kernel.bring, look=False, compare=False)
    node.network.inside("node", partial(change, {service().name: service()}))
    node.network.run("node", CONTENTS[node.mode.name])
    assert node.network.inside("node", partial(change, {other().name: other()})).repaired
    assert who(connect(node)) == {ENVOY}


CONTENTS = {
    "ebpf": FLUSHES["ebpf"]["rules"],
    "iptables": FLUSHES["iptables-nft"]["sets"],
    "nftables": FLUSHES["nftables"]["elements"],
}


def needs_counts_of_nftables() -> None:
    """Skip where the kernel does not say how much is in a set of nftables."""
    if tuple(map(int, platform.release().split(".")[:2])) < (6, 16):
        pytest.skip("before Linux 6.16 the head of a set of nftables does not count its elements")


def test_cleanup_leaves_what_was_there_before(node: World) -> None:
    """Cleanup removes all that is ours and nothing else, after any number of changes."""
    before = node.kernel()
    node.apply(service(ranges=("10.0.0.0/8",)))
    node.apply(service(), other())
    assert node.cleanup().changes
    assert without_empty_tables(node.kernel()) == without_empty_tables(before)
    assert node.cleanup().changes == ()


def other() -> Redirect:
    """Return a redirect of another Service to the same listener."""
    place = PLACES["ClusterIP"](4)._replace(port=8443)
    return Redirect("default/other/8443", "default/other/https@18243", 18243, ((place, False),))
