"""Ports that are written on the Services of a cluster: who has which, on every replica."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from nodegate.model.changes import Claimed, Delete, Upsert
from nodegate.model.generated_service import (
    INGRESS_ANNOTATION,
    MANAGED_BY_LABEL,
    PORTS_ANNOTATION,
    REFUSED_ANNOTATION,
    ports_text,
    service_name,
)
from nodegate.model.objects import Metadata, OwnerReference, Service
from nodegate.model.refs import Kind, Ref
from nodegate.ports import REST_SECONDS, Claims, PortRange, WrittenClaims

PUBLISH = ("nodegate-system", "nodegate")
SMALL = PortRange(10_000, 10_004)
A, B, C = "shop/a/http", "shop/b/http", "shop/c/http"


def said(listener: str, *ports: int, age: int = 0, refused: tuple[int, ...] = ()) -> Upsert:
    """Return the Service of a listener's Ingress, which says its port; the lower its age the younger it is."""
    base, _, scheme = listener.rpartition("/")
    namespace, _, ingress = base.partition("/")
    owner = OwnerReference("Ingress", ingress, f"uid-{ingress}")
    annotations = {
        INGRESS_ANNOTATION: ingress,
        PORTS_ANNOTATION: ports_text((scheme, port) for port in ports),
        REFUSED_ANNOTATION: ports_text((scheme, port) for port in refused),
    }
    metadata = Metadata(
        name=service_name(ingress),
        namespace=namespace,
        labels={MANAGED_BY_LABEL: "nodegate"},
        annotations=annotations,
        owner_references=(owner,),
        creation_timestamp=datetime(2026, 1, 1, 0, 59 - age, tzinfo=UTC),
    )
    return Upsert(Service(metadata))


def unsaid(listener: str) -> Delete:
    return Delete(Ref(Kind.SERVICE, "shop", service_name(listener.split("/")[1])))


def wanted(*names: str) -> dict[str, object | None]:
    return dict.fromkeys(names, 80)


def claims(*services: Upsert, of: tuple[str, ...] = (A,), ports: PortRange = SMALL) -> WrittenClaims:
    """Return what is claimed after a first listing."""
    made = WrittenClaims(PUBLISH, ports)
    made.observe(services)
    made.settle(of, 0.0)
    return made


def test_a_listener_has_no_port_before_its_service_says_one() -> None:
    """Until then its port is only what has to be written: that of its name, as everywhere (DESIGN 3.6)."""
    made = claims(ports=PortRange())
    assert made.ports == {}
    alone = Claims()
    alone.settle([A], 0.0)
    assert made.to_write(A) == alone.ports[A]
    made.observe([said(A, alone.ports[A])])
    assert made.has_news
    assert made.change({}, 0.0).claims == (Claimed(A, alone.ports[A]),)
    assert made.proposed == {}


def test_a_port_that_a_service_says_is_taken_over_as_it_is() -> None:
    """By whichever replica it was written, and also when somebody changed it."""
    made = claims(said(A, 10_003))
    assert made.ports == {A: 10_003}
    made.observe([said(A, 10_001)])
    assert made.change({}, 0.0).claims == (Claimed(A, 10_001),)


def test_of_two_services_that_say_one_port_the_older_keeps_it_and_the_other_is_moved() -> None:
    """Whatever order they are heard of in (DESIGN 3.6)."""
    for order in ((A, B), (B, A)):
        made = claims(*(said(one, 10_003, age=5 if one == A else 1) for one in order), of=(A, B))
        assert made.ports == {A: 10_003}
        assert made.to_write(B) not in {None, 10_003}


def test_the_one_that_has_a_port_without_a_word_gives_way_to_the_one_that_says_it() -> None:
    """Two at one port can never be; the first then gets another."""
    made = claims(said(A, 10_003), of=(A, B))
    made.observe([said(A), said(B, 10_003)])
    assert made.change({}, 0.0).claims == (Claimed(A, None), Claimed(B, 10_003))
    assert made.to_write(A) not in {None, 10_003}


def test_a_port_that_somebody_took_off_a_service_stays_and_is_written_again() -> None:
    """So it is when the Service was deleted by hand: a listener that is served is not cut off."""
    made = claims(said(A, 10_003))
    for slip in (said(A), said(A, 80), unsaid(A)):
        made.observe([slip])
        assert made.change({}, 0.0).claims == ()
        assert made.ports == {A: 10_003}
        assert made.to_write(A) == 10_003


def test_a_refused_port_is_left_for_another_only_when_that_is_written() -> None:
    """Make before break: the listener stays where it is meanwhile; the old port then rests (redirect 5)."""
    made = claims(said(A, 10_003))
    outcome = made.refuse(A, 10_003, "node-1", 0.0)
    (problem,) = outcome.problems[Ref(Kind.INGRESS, "shop", "a")]
    assert "10003" in problem.message
    assert "node-1" in problem.message
    assert made.ports == {A: 10_003}
    assert made.moved == {A}
    port = made.to_write(A)
    assert port not in {None, 10_003}
    made.observe([said(A, port or 0, refused=(10_003,))])
    assert made.change({}, 0.0).claims == (Claimed(A, port),)
    assert made.moved == set()


def test_a_refused_port_is_never_chosen_again() -> None:
    """Not by this replica, and not by one that only reads of it, for as long as it is written."""
    made = claims(said(A, 10_003))
    made.refuse(A, 10_003, "node-1", 0.0)
    other = claims(said(A, 10_003, refused=(10_003,)))
    for one in (made, other):
        assert one.refused(A) == {10_003}
        one.change({}, 2 * REST_SECONDS)
        assert one.to_write(A) not in {None, 10_003}


def test_a_refusal_that_somebody_overwrites_is_written_again_by_the_replica_that_saw_it() -> None:
    """Whether it leads or not: the leader had not heard of it when it wrote, and goes by what is written."""
    made, leader = claims(said(A, 10_003)), claims(said(A, 10_003))
    made.refuse(A, 10_003, "node-1", 0.0)
    port = made.to_write(A)
    assert port is not None
    made.observe([said(A, port, refused=(10_003,)), said(A, 10_003)])
    made.change({}, 0.0)
    assert (made.moved, made.to_write(A)) == ({A}, port)
    assert made.refused(A) == {10_003}
    leader.observe([said(A, port, refused=(10_003,)), said(A, 10_003)])
    leader.change({}, 0.0)
    assert (leader.ports, leader.moved) == ({A: 10_003}, set())
    for one in (made, leader):
        one.observe([said(A, port, refused=(10_003,))])
        one.change({}, 0.0)
        assert (one.ports, one.moved) == ({A: port}, set())


def test_a_refusal_does_not_outlive_the_service_that_says_it() -> None:
    """Its Ingress is made anew under the same name; a replica whose watch is late hears of the old Service after it."""
    made = claims(said(A, 10_003))
    made.change({A: None}, 0.0)
    made.change(wanted(A), 0.0)
    made.observe([said(A, 10_001, refused=(10_003,)), unsaid(A), said(A, 10_003)])
    made.change({}, 0.0)
    assert made.ports == {A: 10_003}


def test_a_refusal_ends_with_its_listener() -> None:
    """An Ingress that is made anew starts anew."""
    made = claims(said(A, 10_003))
    made.refuse(A, 10_003, "node-1", 0.0)
    assert made.change({A: None}, 0.0).problems == {Ref(Kind.INGRESS, "shop", "a"): ()}
    assert made.refused(A) == frozenset()


def test_a_freed_port_rests_and_only_its_former_listener_has_it_back() -> None:
    """Also when its Service is gone (redirect 5)."""
    one = PortRange(10_000, 10_000)
    made = claims(said(A, 10_000), of=(A,), ports=one)
    made.observe([unsaid(A)])
    made.change({A: None}, 0.0)
    made.change(wanted(B), 1.0)
    assert made.waiting == {B}
    assert made.next_wake() == REST_SECONDS
    made.change({B: None, **wanted(A)}, 2.0)
    assert made.to_write(A) == 10_000
    made.change({A: None, **wanted(B)}, 3.0)
    made.retry(REST_SECONDS)
    assert made.to_write(B) == 10_000


def test_a_listener_for_which_no_port_is_free_is_a_problem() -> None:
    """It ends when one is."""
    made = claims(said(A, 10_000), of=(A, B), ports=PortRange(10_000, 10_000))
    assert made.waiting == {B}
    made.observe([unsaid(A)])
    made.change({A: None}, 0.0)
    outcome = made.retry(REST_SECONDS)
    assert outcome.problems == {Ref(Kind.INGRESS, "shop", "b"): ()}


def test_the_shared_listeners_are_claimed_on_the_service_that_is_published() -> None:
    """Recognised by its name and its label (DESIGN 5)."""
    labels, annotations = {MANAGED_BY_LABEL: "nodegate"}, {PORTS_ANNOTATION: "http=10001,https=10002"}
    metadata = Metadata(name="nodegate", namespace="nodegate-system", labels=labels, annotations=annotations)
    made = claims(Upsert(Service(metadata)), of=("shared/http", "shared/https"))
    assert made.ports == {"shared/http": 10_001, "shared/https": 10_002}


def test_a_service_that_is_not_ours_claims_nothing() -> None:
    """Whatever it says (DESIGN 5)."""
    foreign = Service(Metadata(name="nodegate-a", namespace="shop", annotations={PORTS_ANNOTATION: "http=10001"}))
    assert claims(Upsert(foreign)).ports == {}


NAMES = [f"shop/{letter}/http" for letter in "abcdefg"]


class Replicas(RuleBasedStateMachine):
    """Listeners come and go, a leader writes, people write nonsense, nodes refuse, and replicas hear of it late."""

    @initialize(ports=st.sampled_from([PortRange(10_000, 10_005), PortRange(10_000, 10_020)]))
    def begin(self, ports: PortRange) -> None:
        """Two replicas of an empty cluster."""
        self.now = 0.0
        self.services: dict[str, Upsert] = {}
        self.unread: list[list[Any]] = [[], []]
        self.replicas = [WrittenClaims(PUBLISH, ports), WrittenClaims(PUBLISH, ports)]
        self.told: list[dict[str, int]] = [{}, {}]
        self.wanted: set[str] = set()

    def _say(self, listener: str, change: Upsert | Delete) -> None:
        for unread in self.unread:
            unread.append(change)
        if isinstance(change, Upsert):
            self.services[listener] = change
        else:
            self.services.pop(listener, None)

    def _note(self, number: int, claimed: tuple[Claimed, ...]) -> None:
        told = self.told[number]
        for one in claimed:
            if one.port is None:
                told.pop(one.listener, None)
            else:
                told[one.listener] = one.port
        assert len(set(told.values())) == len(told)

    @rule(listener=st.sampled_from(NAMES))
    def comes_or_goes(self, listener: str) -> None:
        """An Ingress is made or deleted, and its Service with it."""
        value = None if listener in self.wanted else 80
        self.wanted ^= {listener}
        for number, replica in enumerate(self.replicas):
            self._note(number, replica.change({listener: value}, self.now).claims)
        if value is None and listener in self.services:
            self._say(listener, unsaid(listener))

    @rule(number=st.sampled_from([0, 1]))
    def hears(self, number: int) -> None:
        """A watch catches up."""
        self.replicas[number].observe(self.unread[number])
        self.unread[number].clear()
        self._note(number, self.replicas[number].change({}, self.now).claims)

    @rule(number=st.sampled_from([0, 1]))
    def writes(self, number: int) -> None:
        """A replica writes what it would; who leads does not matter here."""
        self._write(number, self.wanted)

    def _write(self, number: int, listeners: Iterable[str]) -> None:
        replica = self.replicas[number]
        for listener in sorted(listeners):
            port = replica.to_write(listener)
            if port is not None:
                age = 50 - NAMES.index(listener)
                self._say(listener, said(listener, port, age=age, refused=tuple(sorted(replica.refused(listener)))))

    @rule(listener=st.sampled_from(NAMES), port=st.integers(9_999, 10_006))
    def somebody_writes(self, listener: str, port: int) -> None:
        """A person edits a Service."""
        if listener in self.services:
            self._say(listener, said(listener, port, age=50 - NAMES.index(listener)))

    @rule(listener=st.sampled_from(NAMES), number=st.sampled_from([0, 1]))
    def a_node_refuses(self, listener: str, number: int) -> None:
        """An Envoy cannot bind."""
        port = self.told[number].get(listener)
        if port is not None and len(self.replicas[number].refused(listener)) < 2:
            self._note(number, self.replicas[number].refuse(listener, port, "node-1", self.now).claims)

    @rule()
    def time_passes(self) -> None:
        """All rests end."""
        self.now += REST_SECONDS
        for number, replica in enumerate(self.replicas):
            self._note(number, replica.retry(self.now).claims)

    @invariant()
    def what_was_told_is_what_is(self) -> None:
        """Translation knows every claim, and no two at one port."""
        for replica, told in zip(getattr(self, "replicas", ()), getattr(self, "told", ()), strict=True):
            assert replica.ports == told

    def teardown(self) -> None:
        """In the end every listener has what its Service says: one leads, another writes what it saw on its streams."""
        if not hasattr(self, "replicas"):
            return
        for _ in range(6):
            self.time_passes()
            self.hears(0)
            self.writes(0)
            self.hears(1)
            self._write(1, self.replicas[1].moved)
            self.hears(0)
            self.hears(1)
        waiting = self.replicas[0].waiting
        for replica in self.replicas:
            assert replica.ports.keys() | waiting >= self.wanted
            for listener, port in replica.ports.items():
                if listener not in waiting:
                    assert self.services[listener] == said(
                        listener,
                        port,
                        age=50 - NAMES.index(listener),
                        refused=tuple(sorted(self.replicas[0].refused(listener))),
                    )
        assert self.told[0] == self.told[1]


TestReplicas = Replicas.TestCase


@given(st.permutations([said(A, 10_000, age=1), said(B, 10_000, age=2), said(C, 10_001, age=3)]))
def test_replicas_agree_whatever_order_they_hear_it_in(order: list[Upsert]) -> None:
    """Who starts with these Services gives the same ports, and would write the same."""
    made, other = claims(*order, of=(A, B, C)), claims(said(C, 10_001, age=3), of=(A, B, C))
    for service in order:
        other.observe([service])
        other.change({}, 0.0)
    assert made.ports == other.ports == {B: 10_000, C: 10_001}
    assert made.to_write(A) == other.to_write(A)
