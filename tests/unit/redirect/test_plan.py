"""What the kernel should hold follows from what is asked for, what listens and what is installed, and nothing else."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from nodegate_redirect.contract import Place, Redirect
from nodegate_redirect.plan import REFUSED, Node, Target, make_plan
from tests.unit.redirect.redirects import Case, cases

PLACE, PLACE6 = Place("10.103.218.167", 80), Place("fd00:96::a7", 80)
BOTH = frozenset({(4, 18243), (6, 18243)})
WEB = Redirect("ns/web/80", "ns/web/http@18243", 18243, ((PLACE, False), (PLACE6, False)))


def test_a_frontend_goes_to_the_port_that_a_listener_listens_on() -> None:
    plan = make_plan([WEB], Node(listening=BOTH), {})
    assert plan.targets == {PLACE: Target(18243), PLACE6: Target(18243)}
    assert plan.waiting == {}


def test_a_frontend_waits_for_its_listener_family_by_family() -> None:
    """Ready means that a socket listens, and one for IPv4 is none for IPv6 (DESIGN 3.3)."""
    plan = make_plan([WEB], Node(listening=frozenset({(4, 18243)})), {})
    assert plan.targets == {PLACE: Target(18243)}
    assert plan.waiting["ns/web/80"].startswith("waiting for listener ns/web/http@18243: ")


def test_a_listener_that_moves_keeps_its_frontends_until_the_new_port_listens() -> None:
    """A new port is a new listener beside the old one (redirect 5)."""
    plan = make_plan([WEB], Node(listening=frozenset({(4, 11111), (6, 11111)})), {PLACE: 11111, PLACE6: 11111})
    assert plan.targets == {PLACE: Target(11111), PLACE6: Target(11111)}
    assert "ns/web/80" in plan.waiting


def test_a_program_that_shares_the_port_of_a_listener_is_reported_and_the_frontend_stays_until_it_moves() -> None:
    """Envoy cannot see that another program of its user has the port too (decision 0023)."""
    plan = make_plan([WEB], Node(listening=BOTH, held={(4, 18243): "nginx (pid 7)"}), {})
    assert plan.targets == {PLACE: Target(18243), PLACE6: Target(18243)}
    assert plan.waiting["ns/web/80"].startswith("port held by nginx (pid 7): it shares port 18243 for IPv4 with ")


def test_a_socket_that_may_be_envoys_is_waited_for_with_what_to_do() -> None:
    """Another port would not help an Envoy whose sockets are not transparent (redirect 15)."""
    plan = make_plan([WEB], Node(opaque={(4, 18243): "a program that this agent cannot see"}), {})
    assert plan.targets == {}
    assert plan.waiting["ns/web/80"].startswith(
        "waiting for listener ns/web/http@18243: a program that this agent cannot see listens on port 18243 for IPv4, "
        "but its socket is not transparent. If that is Envoy, give it the bootstrap of `nodegate bootstrap --redirect`"
    )


def test_a_frontend_whose_listener_is_gone_is_refused() -> None:
    plan = make_plan([WEB], Node(), {PLACE: 18243})
    assert plan.targets == {PLACE: Target(REFUSED)}


def test_a_node_port_is_on_every_address_of_the_node() -> None:
    """The seed reaches NodePort 31907 on the node's address from outside (redirect 1)."""
    redirect = Redirect("ns/web/80", "l", 18243, (), ((31907, False),))
    plan = make_plan([redirect], Node(frozenset({"10.0.1.1", "127.0.0.1", "fd00:1::1"}), BOTH), {})
    assert set(plan.targets) == {Place(address, 31907) for address in ("10.0.1.1", "127.0.0.1", "fd00:1::1")}


def test_a_node_port_of_a_service_of_one_family_is_on_the_addresses_of_that_family() -> None:
    """As with kube-proxy (``spec.ipFamilies``): a listener that binds IPv4 only would be waited for for ever."""
    redirect = Redirect("ns/web/80", "l", 18243, ((PLACE, False),), ((31907, False),))
    node = Node(frozenset({"10.0.1.1", "fd00:1::1"}), frozenset({(4, 18243)}))
    plan = make_plan([redirect], node, {})
    assert set(plan.targets) == {PLACE, Place("10.0.1.1", 31907)}
    assert not plan.waiting


def test_restricted_frontends_carry_the_source_ranges_and_others_do_not() -> None:
    redirect = Redirect("ns/web/80", "l", 18243, ((PLACE, True), (PLACE6, False)), (), ("192.0.2.0/24",))
    plan = make_plan([redirect], Node(listening=BOTH), {})
    assert plan.targets == {PLACE: Target(18243, ("192.0.2.0/24",)), PLACE6: Target(18243)}


def test_of_two_that_ask_for_one_place_the_first_by_name_gets_it_and_the_other_is_told() -> None:
    other = Redirect("ns/zoo/80", "l", 18243, ((PLACE, False),))
    plan = make_plan([other, WEB], Node(listening=BOTH), {})
    assert plan.owners[PLACE] == "ns/web/80"
    assert plan.conflicts == {"ns/zoo/80": "10.103.218.167 port 80 belongs to ns/web/80 already"}


@given(cases, st.integers())
def test_the_plan_does_not_depend_on_the_order_of_what_is_asked_for(case: Case, seed: int) -> None:
    shuffled = list(case.asked)
    random.Random(seed).shuffle(shuffled)
    assert make_plan(shuffled, case.node, case.installed) == make_plan(case.asked, case.node, case.installed)


@given(cases)
def test_nothing_is_sent_to_a_port_on_which_nothing_listens(case: Case) -> None:
    plan = make_plan(case.asked, case.node, case.installed)
    for place, target in plan.targets.items():
        assert target.port == REFUSED or (place.family, target.port) in case.node.listening
        assert target.port != REFUSED or place in case.installed


@given(cases)
def test_a_plan_that_is_installed_is_the_plan_again(case: Case) -> None:
    plan = make_plan(case.asked, case.node, case.installed)
    again = make_plan(case.asked, case.node, {place: target.port for place, target in plan.targets.items()})
    assert again.targets == plan.targets


@given(cases)
def test_whatever_is_not_as_asked_has_a_reason(case: Case) -> None:
    """The agent names what waits in a NACK (DESIGN 3.4): nothing may be missing without a word."""
    plan = make_plan(case.asked, case.node, case.installed)
    for redirect in case.asked:
        wanted = [place for place, _ in redirect.places]
        everywhere = [Place(address, port) for port, _ in redirect.node_ports for address in case.node.addresses]
        families = {place.family for place in wanted} or {4, 6}
        wanted += [place for place in everywhere if place.family in families]
        as_asked = all(
            plan.owners[place] == redirect.name and place in plan.targets and plan.targets[place].port == redirect.port
            for place in wanted
        )
        assert as_asked or redirect.name in plan.waiting or redirect.name in plan.conflicts
