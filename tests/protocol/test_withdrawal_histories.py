"""Whatever happens in whatever order, no node's traffic is led to a listener that its Envoy was told to close."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from envoy.service.discovery.v3.discovery_pb2 import DeltaDiscoveryRequest
from hypothesis import example, given
from hypothesis import strategies as st

from nodegate.server.clients import Clients
from nodegate.server.protocol.withdrawal import Withdrawals
from nodegate.snapshot.resource import Entry, Key
from nodegate.snapshot.target import Target
from nodegate.snapshot.type_urls import REDIRECT
from tests.protocol.wire import Said, Wire, resource

GRACE = 10.0
NODES = ("node-1", "node-2")
RULES, LISTENERS = ("a", "b"), ("1", "2", "3")

Step = tuple[str, ...]


@dataclass
class Member:
    """A proxy or an agent, on one replica.

    ``holds``: a proxy's listeners, or where an agent leads each redirect. ``waiting``: redirects that an agent has not
    installed yet.
    """

    wire: Wire
    node: str
    clients: Clients
    is_agent: bool
    holds: dict[str, str] = field(default_factory=dict)
    waiting: set[str] = field(default_factory=set)
    connection: ExitStack = field(default_factory=ExitStack)

    def dial(self, target: Target) -> None:
        """Open a stream, saying what is held from before."""
        self.connection.close()
        self.wire.inbox.clear()
        self.wire.redial()
        self.connection.enter_context(self.clients.connected(self.wire.stream, "peer", 0.0))
        self.wire._publish(target)
        held = ",".join(f"{name}:{content}" for name, content in self.holds.items())
        self.wire.ask(f"SRD sub[*] init{{{held}}} NODE AGENT" if self.is_agent else f"LDS init{{{held}}} NODE")

    def answer(self, *, waits: bool) -> None:
        """Take in the next response and answer it; an agent that ``waits`` goes on leading traffic where it did."""
        if not self.wire.inbox:
            return
        said = self.wire.inbox.pop(0)
        for name in said.removed:
            self.holds.pop(name, None)
        if self.is_agent and waits and said.carried:
            self.waiting.update(said.carried)
            self.wire.request(_not_yet(said))
            return
        self.holds.update(said.carried)
        self.waiting.difference_update(said.carried, said.removed)
        self.wire.acknowledge(said)

    def ask_again(self) -> None:
        """Ask for what was waited for, as an agent does once it has installed it."""
        if self.waiting:
            self.wire.ask(f"SRD sub[{','.join(sorted(self.waiting))}]")


def _not_yet(said: Said) -> bytes:
    """Return the NACK of an agent that waits for the listeners of all that a response carries."""
    request: Any = DeltaDiscoveryRequest(type_url=REDIRECT, response_nonce=said.nonce)
    request.error_detail.message = "\n".join(f"{name}: waiting for listener" for name in said.carried)
    return bytes(request.SerializeToString())


@dataclass
class Cluster:
    """Two nodes, each with a proxy and an agent, at two replicas that see the same targets."""

    members: list[Member] = field(default_factory=list)
    target: Target = field(default_factory=Target)
    leads: dict[str, str] = field(default_factory=dict)
    changed: dict[str, float] = field(default_factory=dict)
    led: dict[str, set[str]] = field(default_factory=dict)
    judged: list[Said] = field(default_factory=list)
    now: float = 100.0

    def lead(self, rule: str, listener: str) -> None:
        """Let a redirect lead to a listener from now on, or to none; listeners that nothing leads to go."""
        before = self.leads.pop(rule, "")
        if listener:
            self.leads[rule] = listener
        for known in {before, listener, *self.led.get(rule, ())} - {""}:
            self.changed[known] = self.now
            self.led.setdefault(rule, set()).add(known)
        wanted: dict[Key, Entry | None] = {}
        for name in LISTENERS:
            key = resource("LDS", f"l{name}").key
            wanted[key] = resource("LDS", f"l{name}") if name in self.leads.values() else None
        for name in RULES:
            made = resource("SRD", name, self.leads.get(name, "0"), [f"l{self.leads.get(name)}"])
            wanted[made.key] = made if name in self.leads else None
        self.target = self.target.apply(wanted)
        for member in self.members:
            member.wire._publish(self.target)

    def look(self) -> None:
        """Require of every removal that is sent to a proxy that the node's agent leads nothing there any more.

        What changes once it is under way is not held against it.
        """
        for proxy, agent in self.pairs():
            for said in proxy.wire.inbox:
                if any(said is one for one in self.judged):
                    continue
                self.judged.append(said)
                for listener in said.removed:
                    number = listener.removeprefix("l")
                    quiet = self.now - self.changed.get(number, -GRACE)
                    assert number not in agent.holds.values() or quiet >= GRACE, (
                        f"{proxy.node} closes {listener} while {agent.holds}"
                    )

    def pairs(self) -> Iterator[tuple[Member, Member]]:
        """Yield the proxy and the agent of each node."""
        for node in NODES:
            proxy, agent = (one for one in self.members if one.node == node)
            yield proxy, agent


def cluster(places: list[int]) -> Cluster:
    """Return a cluster whose members are at these replicas."""
    made, replicas = Cluster(), []
    for _ in range(2):
        clients = Clients()
        replicas.append((clients, Withdrawals(GRACE, clients.redirects_on)))
    for (node, is_agent), place in zip([(n, a) for n in NODES for a in (False, True)], places, strict=True):
        clients, withdrawals = replicas[place]
        made.members.append(Member(Wire("delta", withdrawals=withdrawals, node=node), node, clients, is_agent))
    for member in made.members:
        member.dial(made.target)
    return made


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("lead"), st.sampled_from(RULES), st.sampled_from(("", *LISTENERS))),
        st.tuples(st.sampled_from(("answer", "answer", "waits", "dial")), st.sampled_from("0123")),
        st.tuples(st.just("wait"), st.sampled_from(("1", "6", "11"))),
    ),
    max_size=40,
)


@given(st.lists(st.integers(0, 1), min_size=4, max_size=4), STEPS)
def test_no_listener_goes_while_its_node_may_lead_traffic_there(places: list[int], steps: list[Step]) -> None:
    """With proxies and agents at one replica or at two, slow, waiting or reconnecting (DESIGN 3.3)."""
    made = cluster(places)
    for act, *words in steps:
        if act == "lead":
            made.lead(*words)
        elif act == "wait":
            made.now += float(words[0])
            for member in made.members:
                member.wire.wait(float(words[0]))
        else:
            member = made.members[int(words[0])]
            member.dial(made.target) if act == "dial" else member.answer(waits=act == "waits")
            for other in made.members:
                other.wire.wait(0.0)
        made.look()


@example(
    [0, 0, 0, 0],
    [("lead", "a", "2"), ("answer", "2"), ("answer", "3"), ("answer", "3"), ("lead", "a", "1"), ("waits", "3")],
)
@given(st.lists(st.integers(0, 1), min_size=4, max_size=4), STEPS)
def test_in_the_end_every_listener_that_is_not_wanted_goes(places: list[int], steps: list[Step]) -> None:
    """Nothing waits for ever: once all have answered, agents have installed what they waited for and the grace is over.

    Then everybody has what the target says.
    """
    made = cluster(places)
    for act, *words in steps:
        if act == "lead":
            made.lead(*words)
        elif act != "wait":
            made.members[int(words[0])].answer(waits=act == "waits")
    for _ in range(8):
        for member in made.members:
            while member.wire.inbox:
                member.answer(waits=False)
            member.ask_again()
            member.wire.wait(GRACE)
    for proxy, _ in made.pairs():
        assert set(proxy.holds) == {f"l{listener}" for listener in made.leads.values()}
