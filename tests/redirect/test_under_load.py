"""What happens to clients while things happen to the node: every request of a constant load counts.

Half of the load opens a connection for each request, the other half keeps its connections; no request is sent twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

import pytest

from nodegate_redirect.contract import Place
from tests.e2e.rig.load import Report
from tests.e2e.rig.manifests import ingress
from tests.redirect.rig.kernel import kernel_of, without_empty_tables
from tests.redirect.rig.kube_proxy import FAMILIES
from tests.redirect.rig.sockets import Connection, Server
from tests.redirect.rig.stack import NAMESPACE, POD, STACKS, Stack, ingress_service, stack
from tests.redirect.rig.world import PINS, PLACES
from tools import bpf

MODES = [name for name in STACKS if name not in {"ebpf, kube-proxy nftables", "iptables-legacy, kube-proxy legacy"}]
FRONTENDS = (("client", PLACES["NodePort"](4)), ("pod1", PLACES["ClusterIP"](6)), ("node", PLACES["load balancer"](4)))


def first_in(first: str) -> pytest.MarkDecorator:
    """Run a test in one mode, and in the others only with larger counts: together the tests use every mode."""
    nodes = [name if name.startswith(first) else pytest.param(name, marks=pytest.mark.full) for name in MODES]
    return pytest.mark.parametrize("node", nodes, indirect=True)


@pytest.fixture
def node(request: pytest.FixtureRequest, envoy_binary: Path, tmp_path: Path) -> Iterator[Stack]:
    """Return a node on which everything runs."""
    with stack(request.param, tmp_path, envoy_binary) as made:
        yield made


@contextmanager
def load(node: Stack, record: Callable[[str, object], None]) -> Iterator[list[Report]]:
    """Send requests from outside, from a pod and from the node; the reports are there at the end."""
    reports: list[Report] = []
    running = [node.load(where, place, fresh=fresh, rate=40) for where, place in FRONTENDS for fresh in (True, False)]
    try:
        yield reports
    finally:
        reports += [one.finish() for one in running]
        sent, failed = sum(one.sent for one in reports), sum(one.failed for one in reports)
        record("load", f"sent {sent}, failed {failed}")


def flawless(reports: list[Report]) -> None:
    """Raise unless every request was answered."""
    for report in reports:
        report.require_flawless()
        assert report.sent > 0


@first_in("ebpf")
def test_an_agent_that_is_killed_and_started_again_touches_no_rule(
    node: Stack, record_property: Callable[[str, object], None]
) -> None:
    """What is in the kernel outlives the agent, and a new one finds that it is right (DESIGN 3.7, redirect 6)."""
    before = kernel_of(node.network)
    with load(node, record_property) as reports:
        counted = node.counted()
        node.agent.kill()
        assert kernel_of(node.network) == before
        node.start_agent()
        node.wait_until_installed()
        assert node.metric("nodegate_agent_repairs_total") == 0
        assert kernel_of(node.network) == before
        now = node.counted()
        assert now.keys() == counted.keys()
        assert all(now[place].packets >= counted[place].packets for place in counted), "a place was made anew"
    flawless(reports)


@pytest.mark.parametrize("node", ["ebpf, kube-proxy iptables"], indirect=True)
def test_a_new_program_takes_the_place_of_the_old_one_and_no_request_fails(
    node: Stack, record_property: Callable[[str, object], None]
) -> None:
    """Interface by interface, with the same maps (redirect 17)."""
    filters = "tc filter show dev eth0 ingress"
    programs = {node.network.run("node", filters)}
    with load(node, record_property) as reports:
        for number in (1, 2, 3):
            upgraded = node.folder / f"redirect-{number}.bpf.o"
            upgraded.write_bytes(bpf.build().read_bytes() + bytes(number))  # another file, so another version
            counted = node.counted()
            node.agent.kill()
            node.start_agent(None, "--bpf-object", str(upgraded))
            node.wait_until_installed()
            programs.add(node.network.run("node", filters))
            now = node.counted()
            assert all(now[place].packets >= counted[place].packets for place in counted), "a map was made anew"
    flawless(reports)
    assert len(programs) == 4


@first_in("iptables")
def test_what_a_stranger_flushes_is_put_back(node: Stack, record_property: Callable[[str, object], None]) -> None:
    """The agent hears of it from the kernel; what comes between goes to kube-proxy's Pod (redirect 11)."""
    before = kernel_of(node.network)
    with load(node, record_property) as reports:
        node.network.run("node", FLUSH)
        node.eventually(lambda: node.metric("nodegate_agent_repairs_total") > 0, what="a repair")
        node.eventually(lambda: kernel_of(node.network) == before, what="everything back in place")
    assert sum(report.sent for report in reports) > 0
    assert node.ask("client", PLACES["ClusterIP"](4)).logged


EXTERNAL = Place("198.51.100.7", 80)
FLUSH = "ip rule del pref 9; ip -6 rule del pref 9"


@first_in("nftables")
def test_a_replica_for_envoy_and_another_for_the_agent_serve_as_one(
    node: Stack, record_property: Callable[[str, object], None]
) -> None:
    """Nothing has to know on which replica a node's Envoy and agent are connected (DESIGN 3.3)."""
    second = node.add_control_plane()
    with load(node, record_property) as reports:
        node.agent.kill()
        node.start_agent(second)
        node.wait_until_installed()
        changed = ingress_service()
        changed["spec"]["externalIPs"] = [EXTERNAL.address]
        node.manifests.put(changed)
        node.eventually(lambda: node.ask("client", EXTERNAL).logged, what="the new frontend")
    flawless(reports)


@first_in("nftables")
def test_a_listener_moves_to_another_port_and_no_request_fails(
    node: Stack, record_property: Callable[[str, object], None]
) -> None:
    """A second node cannot use the port, so the listener moves on all of them, make before break (redirect 5)."""
    (port,) = set(node.ports().values())
    stranger = Server(node.network, "pod2", "0.0.0.0", port, "stranger")
    with load(node, record_property) as reports:
        node.start_agent_of_another_node("pod2")
        node.eventually(lambda: {*node.ports().values(), port} != {port}, what="another port")
        node.eventually(lambda: port not in node.ports().values(), what=f"the end of the listener on {port}")
        node.wait_until_installed()
    stranger.end()
    flawless(reports)
    assert node.ask("client", PLACES["ClusterIP"](4)).logged


@first_in("iptables")
def test_connections_to_a_frontend_that_is_withdrawn_go_on(
    node: Stack, record_property: Callable[[str, object], None]
) -> None:
    """Those that are open stay with Envoy, new ones go to kube-proxy's Pod, and no request fails (redirect 6)."""
    withdrawn = [PLACES["load balancer"](family) for family in FAMILIES]
    opened = [node.connect(where, place) for where, _ in FRONTENDS for place in withdrawn]
    assert {answering(one) for one in opened} == {"envoy"}
    with load(node, record_property) as reports:
        changed = ingress_service()
        del changed["status"]
        node.manifests.put(changed)
        for place in withdrawn:
            node.eventually(lambda p=place: not node.ask("client", p).logged, what=f"the end of {place}")
    flawless(reports)
    assert {answering(one) for one in opened} == {"envoy"}


def answering(connection: HTTPConnection) -> str | None:
    """Return which server answers a request on a connection that is open."""
    connection.request("GET", "/kept")
    answer = connection.getresponse()
    answer.read()
    return answer.getheader("server")


@first_in("nftables")
def test_an_ingress_that_is_deleted_refuses_nobody_on_its_way_out(node: Stack) -> None:
    """The redirect goes first, and the listener when nothing leads to it any more (redirect 3)."""
    running = [node.load(where, place, rate=40) for where, place in FRONTENDS]
    node.manifests.drop(ingress(NAMESPACE, "web", {"/": POD}))
    node.eventually(lambda: not node.ports(), what="the end of the listener")
    flawless([one.finish() for one in running])
    for where, place in FRONTENDS:
        assert node.ask(where, place).logged == {}


@first_in("ebpf")
def test_an_envoy_that_is_gone_is_a_refusal_and_never_a_loop_and_one_that_returns_serves(node: Stack) -> None:
    """Connections in the meantime are refused at once; whoever connects afterwards is served (redirect 6)."""
    node.envoy.kill()

    def refused() -> bool:
        outcomes = [Connection(node.network, where, *place, patience=2).ask() for where, place in FRONTENDS]
        assert set(outcomes) <= {"refused", "reset"}, outcomes
        return True

    node.eventually(refused, what="refusals")
    node.start_envoy()
    for where, place in FRONTENDS:
        node.eventually(lambda w=where, p=place: node.ask(w, p).status == 200, what=f"an answer at {place}")


@first_in("iptables")
def test_a_cleanup_leaves_the_node_as_it_was_before_the_agent(
    node: Stack,
) -> None:
    """All of it goes and nothing else: rules, sets, routes, filters and pins (issue 7, 2)."""
    node.agent.stop()
    node.clean_up()
    assert not PINS.exists()
    assert without_empty_tables(kernel_of(node.network)) == without_empty_tables(node.before)
    assert node.ask("client", PLACES["ClusterIP"](4)).logged == {}
    assert node.ask("client", PLACES["ClusterIP"](4)).body == "pod"
