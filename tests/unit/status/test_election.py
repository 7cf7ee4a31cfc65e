"""Which replica leads, decided by a Lease, in virtual time and with clocks that do not agree."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodegate.status.election import Election, Record

SECONDS = 15


def held(by: str, version: str = "1", seconds: int = SECONDS) -> Record:
    return Record(by, seconds, "then", "then", 3, version)


def test_who_finds_no_lease_makes_one() -> None:
    """The first replica of all."""
    election = Election("a", SECONDS)
    election.seen(None, 0.0)
    record = election.next_write(0.0, "now")
    assert record == Record("a", SECONDS, "now", "now", 0)
    election.written(replace(record, version="1"), 0.0)
    assert election.leads(1.0)
    assert election.knows


def test_a_lease_that_another_one_renews_is_left_alone() -> None:
    """However long that goes on."""
    election = Election("a", SECONDS)
    for turn in range(100):
        election.seen(held("b", str(turn)), 10.0 * turn)
        assert election.next_write(10.0 * turn + 9.0, "now") is None


def test_a_lease_that_is_not_renewed_is_taken_when_it_has_run_out_by_the_own_clock() -> None:
    """What the other one's clock said does not matter: it may be years off."""
    election = Election("a", SECONDS)
    election.seen(replace(held("b"), renewed="1970-01-01T00:00:00Z"), 1_000.0)
    assert election.next_write(1_000.0 + SECONDS - 0.1, "now") is None
    record = election.next_write(1_000.0 + SECONDS, "now")
    assert record == Record("a", SECONDS, "now", "now", 4, "1")


def test_a_lease_that_was_given_back_is_taken_at_once() -> None:
    """Its holder went with a word."""
    election = Election("a", SECONDS)
    election.seen(held("", seconds=1), 0.0)
    assert election.next_write(0.0, "now") is not None


def test_who_cannot_renew_stops_to_lead_before_another_could_begin() -> None:
    """Two thirds after the last renewal was sent; another waits for the whole, from when it saw that renewal."""
    election = Election("a", SECONDS)
    election.written(held("a"), 100.0)
    last = SECONDS * 2 / 3
    assert [election.leads(100.0 + after) for after in (0.0, last - 0.1, last)] == [True, True, False]


def test_a_renewal_keeps_when_it_was_acquired() -> None:
    """And counts no transition."""
    election = Election("a", SECONDS)
    election.written(held("a"), 0.0)
    assert election.next_write(5.0, "now") == Record("a", SECONDS, "then", "now", 3, "1")


def test_who_lost_the_lease_leads_no_more_from_the_moment_it_is_seen() -> None:
    """Somebody took it by hand, for example."""
    election = Election("a", SECONDS)
    election.written(held("a"), 0.0)
    election.seen(held("b", "2"), 1.0)
    assert not election.leads(1.0)
    assert election.holder == "b"


def test_a_write_that_failed_makes_it_read_the_lease_again_and_is_no_end() -> None:
    """It may have been written all the same; until its time is over it leads."""
    election = Election("a", SECONDS)
    election.written(held("a"), 0.0)
    election.doubt()
    doubting = (election.knows, election.leads(1.0))
    election.seen(held("a"), 2.0)
    assert doubting == (False, True)
    assert (election.knows, election.leads(3.0)) == (True, True)


def test_who_stops_gives_the_lease_back() -> None:
    """Only who holds it has something to give."""
    election = Election("a", SECONDS)
    assert election.release("now") is None
    election.written(held("a"), 0.0)
    assert election.release("now") == Record("", 1, "then", "now", 3, "1")
    assert not election.leads(0.0)


class Store:
    """A Lease in a cluster: a write needs the version that is there."""

    def __init__(self) -> None:
        self.record: Record | None = None
        self.versions = 0

    def write(self, record: Record) -> Record | None:
        """Return what was written, or None where somebody was faster."""
        if record.version != (self.record.version if self.record else ""):
            return None
        self.versions += 1
        self.record = replace(record, version=str(self.versions))
        return self.record


@given(seed=st.integers(0, 2**32), rates=st.lists(st.floats(0.97, 1.03), min_size=3, max_size=3))
def test_never_do_two_lead_whatever_their_clocks_say_and_whenever_requests_get_lost(
    seed: int, rates: list[float]
) -> None:
    """Clocks that are hours apart and run 3% too fast or slow; answers that never come; replicas that pause."""
    chance, store = random.Random(seed), Store()
    offsets = [chance.uniform(-1e5, 1e5) for _ in rates]
    elections = [Election(name, SECONDS) for name in "abc"]
    led = set()
    for step in range(400):
        now = step * 0.5
        clocks = [offset + rate * now for offset, rate in zip(offsets, rates, strict=True)]
        leading = [one.identity for one, clock in zip(elections, clocks, strict=True) if one.leads(clock)]
        assert len(leading) <= 1
        led.update(leading)
        turn = chance.randrange(3)
        if chance.random() < 0.5:
            _turn(elections[turn], clocks[turn], store, lost=chance.random() < 0.3)
    assert led


def _turn(election: Election, clock: float, store: Store, *, lost: bool) -> None:
    if not election.knows:
        election.seen(store.record, clock)
    record = election.next_write(clock, "now")
    if record is None:
        return
    written = store.write(record)
    if written is None or lost:
        election.doubt()
    else:
        election.written(written, clock)


@pytest.mark.parametrize("identity", ["a", "b"])
def test_a_replica_that_restarts_under_its_old_name_goes_on_at_once(identity: str) -> None:
    """``--lease-identity``: what it held is still its own."""
    election = Election(identity, SECONDS)
    election.seen(held("a"), 0.0)
    assert (election.next_write(0.0, "now") is not None) == (identity == "a")
