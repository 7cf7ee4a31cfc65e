"""A redirect agent on the same protocol: what it cannot do yet is no verdict on what it was sent (DESIGN 3.4)."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from nodegate.server.clients import Clients
from nodegate.server.protocol.postponement import reason_of, words_by_name
from nodegate.snapshot.type_urls import REDIRECT
from tests.protocol.wire import Wire, resources

WEB, API = "shop/web/80", "shop/api/80"
WORLD = f"SRD {WEB}, SRD {API}"
WAITS = f"error{{{WEB}: waiting for listener shop/web/http@18243}}"


def agent(world: str = WORLD) -> Wire:
    """Return a wire to an agent that was sent this world and has not answered yet."""
    wire = Wire("delta", world)
    wire.ask("SRD sub[*] NODE AGENT")
    return wire


def status(wire: Wire) -> Any:
    clients = Clients()
    with clients.connected(wire.stream, "peer", 0.0):
        (of_type,) = clients.snapshot()[0].types
        return of_type


def installed(wire: Wire, redirect: str) -> bool:
    clients = Clients()
    with clients.connected(wire.stream, "peer", 0.0):
        return clients.is_redirected(redirect, wire.target)


def test_what_a_nack_does_not_name_is_installed() -> None:
    """The rest of the message is as good as acknowledged, and nothing is sent again by halves (DESIGN 3.4)."""
    wire = agent()
    wire.play(f"->SRD n1[{WEB},{API}] | <-SRD n1 {WAITS} ; ..")
    assert not installed(wire, WEB)
    assert installed(wire, API)
    assert status(wire).postponed == {WEB: "waiting for listener shop/web/http@18243"}
    assert not status(wire).synced


def test_it_is_sent_again_when_the_agent_asks_for_it() -> None:
    """The agent asks once it has installed what waited, and acknowledges the answer (DESIGN 3.4)."""
    wire = agent()
    wire.play(f"""
        ->SRD n1[{WEB},{API}] | <-SRD n1 {WAITS} ; ..
        <-SRD sub[{WEB}] | ->SRD n2[{WEB}] | <-SRD n2 ; ..
    """)
    assert installed(wire, WEB)
    assert status(wire).synced


def test_it_is_asked_for_as_often_as_it_takes() -> None:
    """Every request for a name is answered, also of one that is subscribed to (xds-protocol 28)."""
    wire = agent()
    wire.play(f"""
        ->SRD n1[{WEB},{API}] | <-SRD n1 {WAITS} ; ..
        <-SRD sub[{WEB}] | ->SRD n2[{WEB}] | <-SRD n2 {WAITS} ; ..
        <-SRD sub[{WEB}] | ->SRD n3[{WEB}] | <-SRD n3 ; ..
    """)


def test_new_content_is_sent_at_once_and_what_is_gone_is_taken_back() -> None:
    """An agent that waits for a listener learns of the next one (redirect 5)."""
    wire = agent()
    wire.play(f"""
        ->SRD n1[{WEB},{API}] | <-SRD n1 {WAITS} ; .. | ++ SRD {WEB}@2
        ->SRD n2[{WEB}@2] | <-SRD n2 {WAITS} ; .. | -- SRD {WEB} ; ->SRD n3 removed[{WEB}] | <-SRD n3 ; ..
    """)
    assert status(wire).postponed == {}


def test_a_removal_that_the_kernel_refused_is_not_done_until_it_is_acknowledged() -> None:
    """Until then the listener may still be needed (DESIGN 3.3)."""
    wire = agent()
    wire.play(f"""
        ->SRD n1[{WEB},{API}] | <-SRD n1 | -- SRD {WEB} ; ->SRD n2 removed[{WEB}]
        <-SRD n2 error{{{WEB}: kernel refused to delete: busy}} ; ..
    """)
    assert wire.stream.states[REDIRECT].may_hold(WEB)
    wire.play(f"<-SRD sub[{WEB}] | ->SRD n3 removed[{WEB}] | <-SRD n3 ; ..")
    assert not wire.stream.states[REDIRECT].may_hold(WEB)


def test_an_unrelated_change_does_not_repeat_what_waits() -> None:
    """Nothing is pushed unasked twice (xds-protocol 8)."""
    wire = agent()
    wire.play(f"""
        ->SRD n1[{WEB},{API}] | <-SRD n1 {WAITS} ; ..
        ++ SRD {API}@2 ; ->SRD n2[{API}@2] | <-SRD n2 ; ..
    """)
    assert status(wire).postponed


def test_a_text_that_names_nothing_is_about_all_of_it() -> None:
    """Nothing counts as installed that may not be."""
    wire = agent()
    wire.play(f"->SRD n1[{WEB},{API}] | <-SRD n1 error{{the kernel is out of memory}} ; ..")
    assert not installed(wire, WEB)
    assert not installed(wire, API)


def test_an_agent_that_comes_back_says_what_it_holds() -> None:
    """What it holds is not sent again (xds-protocol 37)."""
    wire = agent()
    wire.play(f"->SRD n1[{WEB},{API}] | <-SRD n1 {WAITS} ; ..")
    wire.redial()
    wire.play(f"<-SRD sub[*] init{{{API}:1}} NODE AGENT | ->SRD n2[{WEB}] | <-SRD n2 ; ..")
    assert installed(wire, WEB)
    assert installed(wire, API)


def test_a_nack_of_an_agent_is_no_vote() -> None:
    """It never puts an Ingress into quarantine (DESIGN 3.4)."""
    wire = agent()
    wire.play(f"->SRD n1[{WEB},{API}] | <-SRD n1 {WAITS} ; ..")
    clients = Clients()
    with clients.connected(wire.stream, "peer", 0.0):
        assert clients.votes(wire.target) == ()
        assert clients.node_ids() == frozenset()
        assert len(clients.agents()) == 1


NAMES = st.sets(st.sampled_from([WEB, API, "shop/web/8", "b/web/80", "op/web/80"]), min_size=1)


@given(NAMES, NAMES)
def test_each_line_is_about_the_name_it_begins_with(sent: set[str], waiting: set[str]) -> None:
    """Names that are parts of each other are told apart; lines about others are no reason (redirect.proto)."""
    text = "\n".join(f"{name}: port held by another program: {name}" for name in sorted(waiting))
    found = words_by_name(text, sent)
    if sent & waiting:
        assert found == {name: f"port held by another program: {name}" for name in sent & waiting}
    else:
        assert found.keys() == sent


def test_reasons_are_few() -> None:
    """A metric has few label values, whatever agents say."""
    reasons = map(reason_of, ("port held: 18243", "waiting for listener x", "kernel refused: no", "hm"))
    assert list(reasons) == ["port held", "waiting for listener", "kernel refused", "other"]


def test_what_an_agent_waits_for_is_not_sent_again_because_it_is_far_behind() -> None:
    """It has this very content, and asks when it is installed (DESIGN 3.4)."""
    wire = agent()
    wire.play(f"->SRD n1[{WEB},{API}] | <-SRD n1 {WAITS} ; ..")
    target = wire.target
    for content in range(5000):
        target = target.apply({one.key: one for one in resources(f"CDS c1@{content}")})
    wire.target = target
    wire.wait(0.0)
    wire.hears_nothing()
