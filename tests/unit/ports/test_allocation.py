"""Which listener gets which port."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodegate.model.changes import Claimed
from nodegate.model.refs import Kind, Ref
from nodegate.ports import REST_SECONDS, Claims, PortRange, Rest, owner_of

SMALL = PortRange(10_000, 10_004)
NAMES = [f"shop/web{number}/http" for number in range(8)]


def wanted(*names: str) -> dict[str, object | None]:
    return dict.fromkeys(names, 80)


def unwanted(*names: str) -> dict[str, object | None]:
    return dict.fromkeys(names, None)


def test_a_port_follows_from_the_listeners_name_alone() -> None:
    """Replicas that share nothing agree, and so does a restart without a state folder."""
    first, second = Claims(), Claims()
    first.change(wanted("shop/web/http"), now=0)
    second.change(wanted("shop/web/http"), now=99)
    assert first.ports == second.ports


def test_ports_are_from_10000_to_20000() -> None:
    """The range is Cilium's (redirect 5)."""
    assert next(iter(PortRange().probe("x"))) in PortRange()
    assert sorted(PortRange().probe("x")) == list(range(10_000, 20_001))


def test_a_taken_port_is_passed_by_upwards_and_around_the_end() -> None:
    """Collisions are resolved by linear probing."""
    for name in NAMES:
        probed = list(SMALL.probe(name))
        assert len(set(probed)) == len(SMALL)
        assert all((after - before) % len(SMALL) == 1 for before, after in pairwise(probed))


def test_of_two_listeners_with_one_hash_the_first_by_name_has_the_port_of_the_hash() -> None:
    """Within one call the order is that of the names, whatever order they come in (replicas agree)."""
    by_hash: dict[int, list[str]] = {}
    for name in NAMES:
        by_hash.setdefault(next(iter(SMALL.probe(name))), []).append(name)
    port, (first, second, *_) = next((port, names) for port, names in by_hash.items() if len(names) > 1)
    claims = Claims(SMALL)
    claims.change(wanted(second, first), now=0)
    assert claims.ports[min(first, second)] == port
    assert claims.ports[max(first, second)] == list(SMALL.probe(second))[1]


@given(st.permutations(NAMES[:5]))
def test_the_first_listing_gives_the_same_ports_in_any_order(order: list[str]) -> None:
    """Replicas that list the same Ingresses in another order give them the same ports."""
    claims, reference = Claims(SMALL), Claims(SMALL)
    claims.settle(order, now=0)
    reference.settle(NAMES[:5], now=0)
    assert claims.ports == reference.ports


def test_a_listener_keeps_its_port_whatever_comes_and_goes() -> None:
    """A listener's address is never updated (DESIGN 3.5)."""
    claims = Claims(SMALL)
    claims.change(wanted("shop/web3/http"), now=0)
    port = claims.ports["shop/web3/http"]
    claims.change(wanted(*NAMES), now=1)
    claims.change(unwanted("shop/web0/http"), now=2)
    assert claims.change(wanted("shop/web3/http"), now=3).claims[-1] == Claimed("shop/web3/http", port)


def test_a_freed_port_rests_five_minutes() -> None:
    """Rules of the agents and connections of clients outlive the listener (redirect 5)."""
    claims = Claims(PortRange(10_000, 10_000))
    claims.change(wanted("shop/old/http"), now=0)
    assert claims.change(unwanted("shop/old/http"), now=10).claims == (Claimed("shop/old/http", None),)
    assert claims.change(wanted("shop/new/http"), now=10 + REST_SECONDS - 1).claims == ()
    assert claims.next_wake() == 10 + REST_SECONDS
    assert claims.retry(now=10 + REST_SECONDS).claims == (Claimed("shop/new/http", 10_000),)


def test_a_listener_that_comes_back_in_time_has_its_port_again() -> None:
    """An Ingress that is replaced, or that a broken file took away for a moment, does not move."""
    claims = Claims(SMALL)
    claims.change(wanted("shop/web/http"), now=0)
    port = claims.ports["shop/web/http"]
    claims.change(unwanted("shop/web/http"), now=1)
    claims.change(wanted("shop/web1/http", "shop/web/http"), now=2)
    assert claims.ports["shop/web/http"] == port


def test_a_clock_that_is_set_back_does_not_lock_a_port_away() -> None:
    """A rest lasts 5 minutes by the clock as it is now."""
    claims = Claims(PortRange(10_000, 10_000), resting=[Rest(10_000, "shop/old/http", until=1e9)])
    claims.change(wanted("shop/new/http"), now=0)
    assert claims.next_wake() == REST_SECONDS
    assert claims.retry(now=REST_SECONDS).claims == (Claimed("shop/new/http", 10_000),)


def test_an_exhausted_range_is_a_problem_of_the_ingress_and_of_nobody_else() -> None:
    """A wrong object is never an exception; those that have a port keep it."""
    claims = Claims(SMALL)
    outcome = claims.change(wanted(*NAMES), now=0)
    assert len(claims.ports) == len(SMALL)
    assert claims.waiting == frozenset(NAMES[5:])
    assert set(outcome.problems) == {Ref(Kind.INGRESS, "shop", f"web{number}") for number in (5, 6, 7)}
    (problem,) = outcome.problems[Ref(Kind.INGRESS, "shop", "web5")]
    assert "shop/web5/http" in problem.message
    assert "10000 to 10004" in problem.message


def test_the_problem_goes_when_the_listener_goes() -> None:
    """Nothing is reported of an Ingress that asks for nothing."""
    claims = Claims(SMALL)
    claims.change(wanted(*NAMES[:6]), now=0)
    outcome = claims.change(unwanted(NAMES[5]), now=1)
    assert outcome.problems == {Ref(Kind.INGRESS, "shop", "web5"): ()}
    assert claims.next_wake() is None


def test_kept_claims_that_contradict_each_other_are_dropped() -> None:
    """A port is exclusive also when the file says otherwise, and never outside the range."""
    claims = Claims(SMALL, {"a/a/http": 10_001, "b/b/http": 10_001, "c/c/http": 80}, [Rest(10_001, "d/d/http", 9)])
    assert claims.ports == {"a/a/http": 10_001}
    assert claims.resting == ()


def test_after_the_first_listing_only_wanted_listeners_have_ports() -> None:
    """What went away while nodegate was down is given up, and rests."""
    claims = Claims(SMALL, {NAMES[0]: 10_002, NAMES[1]: 10_003})
    outcome = claims.settle([NAMES[0]], now=0)
    assert Claimed(NAMES[0], 10_002) in outcome.claims
    assert Claimed(NAMES[1], None) in outcome.claims
    assert [rest.port for rest in claims.resting] == [10_003]


@pytest.mark.parametrize(
    ("listener", "owner"),
    [
        ("default/basic-ingress/https", Ref(Kind.INGRESS, "default", "basic-ingress")),
        ("shared/http", Ref(Kind.INGRESS, "", "shared")),
    ],
)
def test_a_listener_belongs_to_the_ingress_in_its_name(listener: str, owner: Ref) -> None:
    """Names are those of DESIGN 5."""
    assert owner_of(listener) == owner


ACTIONS = st.lists(st.tuples(st.sampled_from(NAMES), st.booleans(), st.floats(min_value=0, max_value=400)), max_size=60)


@given(ACTIONS, st.randoms())
def test_no_port_is_ever_shared_or_given_to_another_before_it_has_rested(
    actions: list[tuple[str, bool, float]], rng: random.Random
) -> None:
    """The port is exclusive to the listener, through any history and restarts between."""
    claims, now = Claims(SMALL), 0.0
    last_use: dict[int, tuple[str, float]] = {}
    for name, is_wanted, pause in actions:
        now += pause
        before = dict(claims.ports)
        claims.change({name: 80 if is_wanted else None}, now)
        after = claims.ports
        assert len(set(after.values())) == len(after)
        assert all(port in SMALL for port in after.values())
        assert all(after[kept] == port for kept, port in before.items() if kept in after)
        for gone in before.keys() - after.keys():
            last_use[before[gone]] = (gone, now)
        for new in after.keys() - before.keys():
            owner, freed = last_use.get(after[new], (new, 0.0))
            assert owner == new or now - freed >= REST_SECONDS
        if rng.random() < 0.2:
            claims = Claims(SMALL, dict(claims.ports), claims.resting)


def test_a_refused_port_is_given_up_for_another_and_never_chosen_again() -> None:
    """Cilium never tries another (cilium#42858, redirect 5); the node and the port are named."""
    claims = Claims(SMALL)
    claims.change(wanted("shop/web/http"), now=0)
    first = claims.ports["shop/web/http"]
    outcome = claims.refuse("shop/web/http", first, "node-1", now=0)
    second = claims.ports["shop/web/http"]
    assert outcome.claims == (Claimed("shop/web/http", second),)
    assert second != first
    (problem,) = outcome.problems[Ref(Kind.INGRESS, "shop", "web")]
    assert f"Port {first} of listener shop/web/http cannot be used on node node-1" in problem.message
    assert claims.refuse("shop/web/http", first, "node-1", now=0).claims == ()
    claims.refuse("shop/web/http", second, "node-2", now=REST_SECONDS)
    claims.retry(2 * REST_SECONDS)
    assert claims.ports["shop/web/http"] not in {first, second}


def test_a_listener_whose_every_port_was_refused_waits() -> None:
    """It is a problem like any other lack of ports."""
    claims = Claims(PortRange(10_000, 10_000))
    claims.change(wanted("shop/web/http"), now=0)
    assert claims.refuse("shop/web/http", 10_000, "node-1", now=0).claims == (Claimed("shop/web/http", None),)
    assert claims.waiting == {"shop/web/http"}


def test_a_refusal_that_is_out_of_date_moves_nothing() -> None:
    """The listener has another port by now; that one is not chosen again all the same."""
    claims = Claims(SMALL)
    claims.change(wanted("shop/web/http"), now=0)
    port = claims.ports["shop/web/http"]
    other = next(one for one in SMALL.probe("shop/web/http") if one != port)
    assert claims.refuse("shop/web/http", other, "node-1", now=0).claims == ()
    claims.refuse("shop/web/http", port, "node-1", now=0)
    assert claims.ports["shop/web/http"] not in {port, other}


@given(st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(["want", "drop", "refuse", "sleep"])), max_size=40))
def test_a_new_port_is_always_the_first_of_the_probe_that_is_neither_taken_nor_resting_nor_refused(
    events: list[tuple[str, str]],
) -> None:
    """However ports came and went before: the order in which they are looked at is that of linear probing."""
    claims, now, refused = Claims(SMALL), 0.0, {name: set[int]() for name in NAMES}
    for name, event in events:
        port, rested = claims.ports.get(name), {rest.port: rest.listener for rest in claims.resting if rest.until > now}
        taken = set(claims.ports.values())
        if event == "want" and not claims.waiting and port is None and name not in rested.values():
            claims.change(wanted(name), now)
            free = (one for one in SMALL.probe(name) if one not in taken | rested.keys() | refused[name])
            assert claims.ports.get(name) == next(free, None)
        elif event == "drop":
            claims.change(unwanted(name), now)
            refused[name].clear()
        elif event == "refuse" and port is not None:
            refused[name].add(port)
            claims.refuse(name, port, "node-1", now)
        elif event == "sleep":
            now += REST_SECONDS
