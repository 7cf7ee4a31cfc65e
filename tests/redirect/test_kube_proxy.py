"""kube-proxy itself, fed by a real API server, beside every mode: neither takes anything from the other."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from nodegate_redirect.contract import Place
from tests.redirect.rig.cluster import Node, cluster_node, dummy_slices, ingress_service, pod_slices, service
from tests.redirect.rig.kube_proxy import FAMILIES
from tests.redirect.rig.sockets import Answer, Connection
from tests.redirect.rig.world import ENVOY, MODES, PLACES, POD, World, forget_pins
from tests.redirect.rig.world import service as redirect
from tools.kubernetes import AssetsError, present

CLIENTS = ("client", "pod1", "node")
KUBE_PROXIES = ("iptables", "nftables")
BESIDE = [name for name in MODES if name != "iptables-legacy"]
OTHER = {4: Place("10.103.7.7", 80), 6: Place("fd00:96::77", 80)}
OTHER_NODE_PORT = 30999
OURS = [name for name in PLACES if name != "NodePort of the bridge"]
"""The frontends that kube-proxy serves in both modes: in its nftables mode, NodePorts are on one address only."""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """Return a node of a cluster without kube-proxy."""
    try:
        programs = present("kube-proxy")
    except AssetsError as error:
        pytest.skip(str(error))
    with cluster_node(programs, tmp_path_factory.mktemp("cluster")) as made:
        other = service("other", (OTHER[4].address, OTHER[6].address), OTHER_NODE_PORT)
        made.put(ingress_service(), other, *pod_slices("other"))
        yield made


@pytest.fixture
def node(cluster: Node, request: pytest.FixtureRequest) -> Iterator[World]:
    """Return the node with one mode and one kube-proxy, which sends the Ingress' Service to a Pod at first."""
    mode, kube_proxy = request.param
    cluster.put(*pod_slices("nodegate-web"))
    made = World(cluster.network, cluster.network.inside("node", MODES[mode]))
    with made.stack:
        made.stack.callback(forget_pins)
        made.stack.callback(cluster.remove_kube_proxy)
        made.stack.callback(made.cleanup)
        made.pods()
        made.listen()
        cluster.start_kube_proxy(kube_proxy)
        cluster.eventually(lambda: who(made, ours(made)) == {POD}, "kube-proxy's rules")
        yield made


BOTH = [(mode, other) for mode in BESIDE for other in KUBE_PROXIES]
FIRST = {("nftables", "iptables"), ("iptables-nft", "nftables")}
"""Where a start beside us is tried; everywhere only with larger counts."""


def pair(mode: str, kube_proxy: str, *marks: pytest.MarkDecorator) -> object:
    """Return a mode beside a mode of kube-proxy, with its name."""
    return pytest.param((mode, kube_proxy), id=f"{mode}, kube-proxy {kube_proxy}", marks=marks)


beside_kube_proxy = pytest.mark.parametrize("node", [pair(*both) for both in BOTH], indirect=True)
beside_one_that_starts = pytest.mark.parametrize(
    "node", [pair(*both, *(() if both in FIRST else (pytest.mark.full,))) for both in BOTH], indirect=True
)


def connect(node: World, places: list[Place], clients: tuple[str, ...] = CLIENTS) -> list[Connection]:
    """Return one connection from each client to each place."""
    return [Connection(node.network, where, *place, patience=3) for where in clients for place in places]


def ours(_node: World) -> list[Place]:
    """Return the frontends of the Ingress' Service."""
    return [PLACES[name](family) for family in FAMILIES for name in OURS]


def others() -> list[Place]:
    """Return the frontends of the other Service."""
    return [*OTHER.values(), *(Place(FAMILIES[family].node, OTHER_NODE_PORT) for family in FAMILIES)]


def who(node: World, places: list[Place]) -> set[str]:
    """Return who answers new connections from every client."""
    found = set()
    for connection in connect(node, places):
        answer = connection.ask()
        found.add(answer.who if isinstance(answer, Answer) else answer)
        connection.close()
    return found


@beside_kube_proxy
def test_frontends_go_to_the_listener_and_everything_else_stays_with_kube_proxy(node: World, cluster: Node) -> None:
    """None of kube-proxy's connections is cut, none of its Services is touched, and its syncs change nothing of ours.

    The Service loses its Pod for the endpoint that leads nowhere, as an Ingress' Service has it (redirect 6, 11).
    """
    old = connect(node, ours(node) + others())
    assert {answer.who for connection in old if isinstance(answer := connection.ask(), Answer)} == {POD}
    node.apply(redirect())
    assert who(node, ours(node)) == {ENVOY}
    assert who(node, others()) == {POD}
    assert all(connection.echoes() for connection in old)
    cluster.put(*dummy_slices("nodegate-web"))
    cluster.eventually(lambda: "192.192.192.192" in node.network.run("node", RULES), "the new endpoint")
    assert who(node, ours(node)) == {ENVOY}
    assert who(node, others()) == {POD}
    assert node.apply(redirect()).changes == ()


@beside_one_that_starts
def test_a_kube_proxy_that_starts_after_us_leaves_connections_and_is_put_behind_us(node: World, cluster: Node) -> None:
    """It writes its jumps first in their chains; ours go before them again (redirect 11)."""
    kube_proxy = cluster.mode
    cluster.put(*dummy_slices("nodegate-web"))
    cluster.remove_kube_proxy()
    node.apply(redirect())
    old = connect(node, ours(node))
    assert {answer.who for connection in old if isinstance(answer := connection.ask(), Answer)} == {ENVOY}
    cluster.start_kube_proxy(kube_proxy)
    cluster.eventually(lambda: who(node, others()) == {POD}, "kube-proxy's rules")
    node.apply(redirect())
    assert who(node, ours(node)) == {ENVOY}
    assert all(connection.echoes() for connection in old)
    assert node.apply(redirect()).changes == ()


RULES = "iptables-nft-save; nft list ruleset"
