"""Every kind of frontend, from every kind of client, in both families, in every mode, whatever kube-proxy has there."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.redirect.rig.kube_proxy import FAMILIES
from tests.redirect.rig.sockets import Answer, Connection
from tests.redirect.rig.world import ENVOY, PLACES, POD, UPSTREAM_MARK, World, service, world

ALL = ("client", "pod1", "node")
SITES: list[tuple[str, str, bool, tuple[str, ...]]] = [
    ("ebpf", "kube-proxy iptables, endpoints", False, ALL),
    ("ebpf", "kube-proxy iptables, none", False, ALL),
    ("ebpf", "kube-proxy nftables, endpoints", False, ALL),
    ("ebpf", "kube-proxy nftables, none", False, ALL),
    ("ebpf", "kube-proxy iptables, endpoints", True, ALL),
    ("iptables-nft", "no kube-proxy", False, ALL),
    ("iptables-nft", "kube-proxy iptables, endpoints", False, ALL),
    ("iptables-nft", "kube-proxy iptables, none", False, ALL),
    ("iptables-nft", "kube-proxy nftables, endpoints", False, ALL),
    ("iptables-nft", "kube-proxy nftables, none", False, ("node",)),  # all others: docs/redirect.md
    ("iptables-nft", "kube-proxy iptables, endpoints", True, ALL),
    ("iptables-legacy", "kube-proxy legacy, endpoints", False, ALL),
    ("iptables-legacy", "kube-proxy legacy, none", True, ALL),
    ("nftables", "kube-proxy iptables, endpoints", False, ALL),
    ("nftables", "kube-proxy iptables, none", False, ALL),
    ("nftables", "kube-proxy nftables, endpoints", False, ALL),
    ("nftables", "kube-proxy nftables, none", False, ALL),
    ("nftables", "kube-proxy nftables, endpoints", True, ALL),
]


Site = tuple[str, str, bool]


def named(site: Site) -> str:
    """Return the name of a site in the names of tests."""
    return f"{site[0]}, {site[1]}{', bridged' * site[2]}"


CELLS = [
    pytest.param((mode, kube_proxy, bridged), where, id=f"{named((mode, kube_proxy, bridged))}, {where}")
    for mode, kube_proxy, bridged, clients in SITES
    for where in clients
]


@pytest.fixture(scope="module")
def site(request: pytest.FixtureRequest) -> Iterator[World]:
    """Return a node whose Service is redirected to a listener; with endpoints, kube-proxy would send it to a pod."""
    mode, kube_proxy, bridged = request.param
    with world(mode, kube_proxy, bridged=bridged) as made:
        made.listen()
        made.pods()
        made.apply(service())
        yield made


@pytest.mark.parametrize(("site", "where"), CELLS, indirect=["site"], scope="module")
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("frontend", PLACES)
def test_a_connection_to_a_frontend_reaches_the_listener_with_the_clients_own_address(
    site: World, frontend: str, family: int, where: str
) -> None:
    """Every frontend is served, from outside, a pod and the node; nothing is masqueraded (redirect 1, 4, 13)."""
    connection = Connection(site.network, where, *PLACES[frontend](family))
    answer = connection.ask()
    connection.close()
    assert isinstance(answer, Answer), answer
    assert (answer.who, answer.peer) == (ENVOY, connection.own)


@pytest.mark.parametrize("site", [site[:3] for site in SITES], ids=named, indirect=True, scope="module")
@pytest.mark.parametrize("family", FAMILIES)
def test_envoys_own_connections_are_never_caught(request: pytest.FixtureRequest, site: World, family: int) -> None:
    """A socket with the mark of Envoy's upstream goes past the listener, else it would loop (redirect 13)."""
    own = Connection(site.network, "node", *PLACES["ClusterIP"](family), mark=UPSTREAM_MARK, patience=1.5)
    answer = own.ask()
    if "endpoints" in request.node.callspec.id:
        assert isinstance(answer, Answer), answer
        assert answer.who == POD
    else:
        assert not isinstance(answer, Answer)
