"""Redirect first, then the listener: nobody's traffic goes to a socket that is gone (redirect 3, DESIGN 3.3)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field

import pytest

from nodegate.server.clients import Clients
from nodegate.server.protocol.withdrawal import Withdrawals
from nodegate.snapshot.resource import Entry, Key
from nodegate.snapshot.target import Target
from tests.protocol.wire import Wire, resources

GRACE = 10.0
RULE = "shop/web/80"
OLD, NEW = "shop/web/http-1", "shop/web/http-2"
WORLD = f"LDS {OLD}, SRD {RULE}({OLD})"


@dataclass
class Replica:
    """One replica: proxies and agents that are connected to it, and the target they share."""

    target: Target = field(default_factory=Target)
    clients: Clients = field(default_factory=Clients)
    wires: list[Wire] = field(default_factory=list)
    stack: ExitStack = field(default_factory=ExitStack)
    streams: dict[int, ExitStack] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.withdrawals = Withdrawals(GRACE, self.clients.redirects_on)

    def connect(self, first: str, node: str = "node-1", variant: str = "delta") -> Wire:
        """Connect a proxy or an agent of a node, which asks this first."""
        wire = Wire(variant, withdrawals=self.withdrawals, node=node)
        wire.now = self.wires[0].now if self.wires else wire.now
        self.wires.append(wire)
        self.streams[id(wire)] = self.stack.enter_context(ExitStack())
        self.streams[id(wire)].enter_context(self.clients.connected(wire.stream, "peer", 0.0))
        wire._publish(self.target)
        wire.ask(first)
        return wire

    def disconnect(self, wire: Wire) -> None:
        """End the stream of a client."""
        self.streams[id(wire)].close()
        self.wires.remove(wire)

    def agent(self, node: str = "node-1") -> Wire:
        """Connect an agent that has installed everything."""
        agent = self.connect("SRD sub[*] NODE AGENT", node)
        agent.acknowledge(agent.hears(f"SRD [{RULE}]"))
        return agent

    def change(self, put: str = "", take: str = "") -> None:
        """Publish a target with these put in and those taken out."""
        changes: dict[Key, Entry | None] = {one.key: one for one in resources(put)}
        changes.update({one.key: None for one in resources(take)})
        self.target = self.target.apply(changes)
        for wire in self.wires:
            wire._publish(self.target)

    def wait(self, seconds: float = 0.0) -> None:
        """Let time pass for everybody; none is enough for every stream to look again, as when an agent spoke."""
        for wire in self.wires:
            wire.wait(seconds)


@pytest.fixture
def replica() -> Iterator[Replica]:
    """A replica whose target has one listener and its redirect."""
    replica = Replica()
    replica.change(WORLD)
    with replica.stack:
        yield replica


def proxy(replica: Replica, first: str = "LDS NODE", variant: str = "delta", node: str = "node-1") -> Wire:
    """Connect a proxy that has taken the listener."""
    proxy = replica.connect(first, node, variant)
    proxy.acknowledge(proxy.hears(f"LDS [{OLD}]"))
    return proxy


def goes_at(replica: Replica, proxy: Wire, seconds: float) -> None:
    """Require that the listener goes after so many seconds, and not before."""
    replica.wait(seconds - 0.1)
    proxy.hears_nothing()
    replica.wait(0.1)
    proxy.hears(f"LDS removed[{OLD}]")


def test_without_a_word_from_any_agent_a_listener_outlives_its_redirect_by_the_grace(replica: Replica) -> None:
    """The node's agent may be connected to another replica (DESIGN 3.3)."""
    served = proxy(replica)
    replica.change(take=WORLD)
    goes_at(replica, served, GRACE)


def test_it_goes_as_soon_as_the_agent_of_the_node_has_acknowledged(replica: Replica) -> None:
    """Both are connected here, so this replica knows (DESIGN 3.3)."""
    served, agent = proxy(replica), replica.agent()
    replica.change(take=WORLD)
    removal = agent.hears(f"SRD removed[{RULE}]")
    replica.wait(1.0)
    served.hears_nothing()
    agent.acknowledge(removal)
    replica.wait()
    served.hears(f"LDS removed[{OLD}]")


def test_agents_of_other_nodes_say_nothing_about_this_one(replica: Replica) -> None:
    """Its own agent may be at another replica and behind (DESIGN 3.3)."""
    served, other = proxy(replica), replica.agent("node-2")
    replica.change(take=WORLD)
    other.acknowledge(other.hears(f"SRD removed[{RULE}]"))
    goes_at(replica, served, GRACE)


def test_an_agent_that_could_not_take_the_redirect_away_has_not_acknowledged(replica: Replica) -> None:
    """The kernel still sends traffic (redirect 3)."""
    served, agent = proxy(replica), replica.agent()
    replica.change(take=WORLD)
    agent.play(f"->SRD n9 removed[{RULE}] | <-SRD n9 error{{{RULE}: kernel refused to delete: busy}} ; ..")
    goes_at(replica, served, GRACE)


def test_an_agent_that_has_just_connected_has_not_acknowledged(replica: Replica) -> None:
    """What it holds from before it says with its first request; until it answers, nothing is known."""
    served = proxy(replica)
    replica.change(take=WORLD)
    replica.connect("SRD sub[*] NODE AGENT").hears("SRD []")
    goes_at(replica, served, GRACE)


def test_two_agents_of_a_node_both_have_to_acknowledge(replica: Replica) -> None:
    """One is about to replace the other (xds-protocol 48)."""
    served, old, new = proxy(replica), replica.agent(), replica.agent()
    replica.change(take=WORLD)
    old.acknowledge(old.hears(f"SRD removed[{RULE}]"))
    replica.wait(1.0)
    served.hears_nothing()
    new.acknowledge(new.hears(f"SRD removed[{RULE}]"))
    replica.wait()
    served.hears(f"LDS removed[{OLD}]")


def test_a_listener_that_never_had_a_redirect_goes_at_once(replica: Replica) -> None:
    """With ``--expose host``, and before its Service has an address, there is nothing to withdraw (DESIGN 7)."""
    served = proxy(replica)
    replica.change(f"LDS {NEW}")
    served.acknowledge(served.hears(f"LDS [{NEW}]"))
    replica.change(take=f"LDS {NEW}")
    served.hears(f"LDS removed[{NEW}]")


def test_the_grace_counts_from_when_the_redirect_went(replica: Replica) -> None:
    """The Service may go long before the Ingress."""
    served = proxy(replica)
    replica.change(take=f"SRD {RULE}")
    replica.wait(GRACE)
    replica.change(take=f"LDS {OLD}")
    served.hears(f"LDS removed[{OLD}]")


def test_the_last_of_several_redirects_counts(replica: Replica) -> None:
    """Several Services may lead to one listener."""
    served = proxy(replica)
    replica.change(f"SRD shop/door/80({OLD})")
    replica.change(take=f"SRD {RULE}")
    replica.wait(2 * GRACE)
    replica.change(take=f"SRD shop/door/80, LDS {OLD}")
    goes_at(replica, served, GRACE)


def test_a_stream_that_is_behind_does_not_undo_what_others_have_seen(replica: Replica) -> None:
    """One that waits for its socket looks at an older target meanwhile."""
    served, before = proxy(replica), replica.target
    replica.change(take=WORLD)
    replica.wait(GRACE / 2)
    replica.withdrawals.on_target(before, served.now)
    replica.withdrawals.on_target(replica.target, served.now)
    goes_at(replica, served, GRACE / 2)


def test_a_listener_that_comes_back_stays(replica: Replica) -> None:
    """And leaves again as if for the first time."""
    served = proxy(replica)
    replica.change(take=WORLD)
    replica.wait(GRACE / 2)
    replica.change(WORLD)
    replica.wait(2 * GRACE)
    served.hears_nothing()
    assert not replica.withdrawals.pending
    replica.change(take=WORLD)
    goes_at(replica, served, GRACE)


def test_state_of_the_world_keeps_it_in_the_set_for_as_long(replica: Replica) -> None:
    """Absence would delete it (xds-protocol 16)."""
    served = proxy(replica, "LDS [] NODE", "sotw")
    replica.change(take=WORLD)
    replica.wait(GRACE - 0.1)
    served.hears_nothing()
    replica.wait(0.1)
    served.hears("LDS []")


# --- another port ----------------------------------------------------------------------------------------------------

MOVED = f"LDS {NEW}, SRD {RULE}@2({NEW})"


def test_a_listener_that_moves_is_there_twice_until_the_agent_has_led_the_traffic_over(replica: Replica) -> None:
    """New listener, redirect, and only then the old one goes (redirect 5)."""
    served, agent = proxy(replica), replica.agent()
    replica.change(MOVED, take=f"LDS {OLD}")
    agent.play(f"->SRD n9[{RULE}@2] | <-SRD n9 error{{{RULE}: waiting for listener {NEW}}} ; ..")
    served.acknowledge(served.hears(f"LDS [{NEW}]"))
    replica.wait(GRACE / 2)
    served.hears_nothing()
    agent.play(f"<-SRD sub[{RULE}] | ->SRD n10[{RULE}@2] | <-SRD n10 ; ..")
    replica.wait()
    served.hears(f"LDS removed[{OLD}]")


def test_the_old_listener_stays_for_as_long_as_the_new_one_is_not_there(replica: Replica) -> None:
    """A proxy that refuses the new port goes on with the old one; the grace starts when it has the new one."""
    served = proxy(replica)
    replica.change(MOVED, take=f"LDS {OLD}")
    said = served.hears(f"LDS [{NEW}]")
    replica.wait(5 * GRACE)
    served.hears_nothing()
    served.acknowledge(said)
    goes_at(replica, served, GRACE)


def test_the_old_listener_stays_for_as_long_as_the_agent_says_that_the_new_one_does_not_listen(
    replica: Replica,
) -> None:
    """Envoy acknowledges a listener that still warms; no grace is long enough for that (redirect 3)."""
    served, agent = proxy(replica), replica.agent()
    replica.change(MOVED, take=f"LDS {OLD}")
    served.acknowledge(served.hears(f"LDS [{NEW}]"))
    agent.play(f"->SRD n9[{RULE}@2] | <-SRD n9 error{{{RULE}: waiting for listener {NEW}}} ; ..")
    replica.wait(5 * GRACE)
    served.hears_nothing()
    agent.play(f"<-SRD sub[{RULE}] | ->SRD n10[{RULE}@2] | <-SRD n10 ; ..")
    replica.wait()
    served.hears(f"LDS removed[{OLD}]")


def test_an_agent_that_goes_away_while_it_waits_keeps_nothing_for_ever(replica: Replica) -> None:
    """Whoever comes after it has the grace."""
    served, agent = proxy(replica), replica.agent()
    replica.change(MOVED, take=f"LDS {OLD}")
    served.acknowledge(served.hears(f"LDS [{NEW}]"))
    agent.play(f"->SRD n9[{RULE}@2] | <-SRD n9 error{{{RULE}: waiting for listener {NEW}}} ; ..")
    replica.wait(1.5 * GRACE)
    replica.disconnect(agent)
    replica.wait(GRACE)
    served.hears(f"LDS removed[{OLD}]")


def test_a_move_that_is_called_off_starts_the_grace_anew(replica: Replica) -> None:
    """An agent that never led the traffic over has to hear that there is nowhere to lead it (redirect 3)."""
    served = proxy(replica)
    replica.change(MOVED, take=f"LDS {OLD}")
    served.play(f"->LDS n9[{NEW}] | <-LDS n9 error{{{NEW}: cannot bind}} ; ..")
    replica.wait(5 * GRACE)
    served.hears_nothing()
    replica.change(take=f"LDS {NEW}, SRD {RULE}")
    replica.wait(GRACE - 0.1)
    served.hears_nothing()
    replica.wait(0.1)
    served.hears(f"LDS removed[{OLD},{NEW}]")


# --- after a restart -------------------------------------------------------------------------------------------------


def test_after_a_restart_a_listener_that_nobody_knows_waits_for_the_agents(replica: Replica) -> None:
    """It went while no control plane ran, so the agents hear of it now, from whatever replica (DESIGN 3.3)."""
    returned = replica.connect(f"LDS init{{{OLD}:1,gone:1}} NODE")
    returned.acknowledge(returned.hears("LDS []"))
    replica.wait(GRACE - 0.1)
    returned.hears_nothing()
    replica.wait(0.1)
    returned.hears("LDS removed[gone]")


def test_a_replica_that_has_run_for_long_knows_what_had_a_redirect(replica: Replica) -> None:
    """A client that was away for longer than the grace has nothing to wait for."""
    replica.agent()
    replica.wait(GRACE)
    returned = replica.connect(f"LDS init{{{OLD}:1,gone:1}} NODE")
    returned.acknowledge(returned.hears("LDS []"))
    returned.hears("LDS removed[gone]")


def test_what_a_listener_waits_for_ends_by_itself(replica: Replica) -> None:
    """The stream knows when to look again (DESIGN 3.3)."""
    served = proxy(replica)
    replica.change(take=WORLD)
    assert served.stream.deadline() == served.now + GRACE


def test_every_redirect_that_led_to_a_listener_has_to_be_gone(replica: Replica) -> None:
    """Not only the last one that was taken away (DESIGN 3.3)."""
    served, agent = proxy(replica), replica.agent()
    replica.change(put=f"SRD shop/web/81({OLD})")
    agent.acknowledge(agent.hears("SRD [shop/web/81]"))
    replica.change(take=f"SRD {RULE}")
    agent.play(f"->SRD n8 removed[{RULE}] | <-SRD n8 error{{{RULE}: kernel refused to delete: busy}} ; ..")
    replica.change(take=f"SRD shop/web/81, LDS {OLD}")
    agent.acknowledge(agent.hears("SRD removed[shop/web/81]"))
    goes_at(replica, served, GRACE)


def test_an_agent_that_has_not_taken_the_new_redirect_still_leads_to_the_old_listener(replica: Replica) -> None:
    """Sent is not installed (DESIGN 3.4)."""
    served, agent = proxy(replica), replica.agent()
    replica.change(put=f"LDS {NEW}, SRD {RULE}@2({NEW})", take=f"LDS {OLD}")
    served.acknowledge(served.hears(f"LDS [{NEW}]"))
    moved = agent.hears(f"SRD [{RULE}@2]")
    replica.wait(1.0)
    served.hears_nothing()
    agent.acknowledge(moved)
    replica.wait()
    served.hears(f"LDS removed[{OLD}]")


def test_a_proxy_that_does_not_say_its_node_has_no_agent(replica: Replica) -> None:
    """An agent that does not say it either is not its own (DESIGN 3.3)."""
    served, agent = proxy(replica, node=""), replica.agent(node="")
    replica.change(take=WORLD)
    agent.acknowledge(agent.hears(f"SRD removed[{RULE}]"))
    goes_at(replica, served, GRACE)


def test_a_listener_that_is_long_gone_is_forgotten(replica: Replica) -> None:
    """Also when the redirect that led there changes again (DESIGN 3.3)."""
    served = proxy(replica)
    replica.change(put=f"LDS {NEW}, SRD {RULE}@2({NEW})", take=f"LDS {OLD}")
    served.acknowledge(served.hears(f"LDS [{NEW}]"))
    goes_at(replica, served, GRACE)
    replica.change(take=f"SRD {RULE}")
    replica.wait(GRACE)
    replica.change(put="CDS c1")
    replica.change(put=f"LDS {OLD}, SRD {RULE}({OLD})")
    replica.change(take=f"SRD {RULE}")
    replica.wait(GRACE)
    replica.change(put="CDS c2")
    assert not replica.withdrawals.pending
    replica.change(put=f"SRD {RULE}@3({NEW})")
    replica.change(put=f"SRD {RULE}@4({NEW})")
    assert replica.withdrawals.get(OLD) is None


def test_the_grace_does_not_start_anew_with_each_change(replica: Replica) -> None:
    """Of something else (DESIGN 3.3)."""
    served = proxy(replica)
    replica.change(put=f"LDS {NEW}, SRD {RULE}@2({NEW})", take=f"LDS {OLD}")
    served.acknowledge(served.hears(f"LDS [{NEW}]"))
    replica.wait(5.0)
    replica.change(put="CDS c1")
    goes_at(replica, served, GRACE - 5.0)


def test_the_wait_for_a_listener_of_before_ends_by_itself(replica: Replica) -> None:
    """Its redirect may be on some node for the grace after this replica's start (DESIGN 3.3)."""
    served = replica.connect("LDS init{gone:1} NODE")
    served.acknowledge(served.hears(f"LDS [{OLD}]"))
    assert served.stream.deadline() == served.now + GRACE
