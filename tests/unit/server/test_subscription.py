"""What a client asks for, as a value of its own; the sequences are in tests/protocol."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from nodegate.server.protocol.subscription import Edit, Names, Subscription

some_names = st.sets(st.sampled_from("abcdef"))


@given(steps=st.lists(st.tuples(some_names, some_names, some_names), max_size=6))
def test_names_are_a_set_whatever_they_share(steps: list[tuple[set[str], set[str], set[str]]]) -> None:
    """Additions, removals and new mappings in any order: the same names as a plain set has."""
    names, plain = Names(), set[str]()
    for added, removed, keys in steps:
        left = removed - added
        names.change(added, left & plain)
        plain = (plain | added) - left
        mapping = dict.fromkeys(keys)
        names.share(mapping, names.base.keys() ^ keys | (plain if not names.base else set()))
        assert set(names) == plain
        assert len(names) == len(plain)
        assert all((one in names) == (one in plain) for one in "abcdef")
        assert names.is_whole_base == (plain == keys)


@given(before=some_names, asked=some_names, keys=some_names)
def test_the_difference_to_what_is_asked_is_exact(before: set[str], asked: set[str], keys: set[str]) -> None:
    """Which names are new, and which are not asked for any more."""
    names = Names()
    names.change(before, ())
    names.share(dict.fromkeys(keys), before | keys)
    assert names.difference(asked) == (asked - before, before - asked)


def test_a_name_in_both_lists_of_a_delta_request_stays_subscribed() -> None:
    """To send one resource too many harms nobody (xds-protocol 27)."""
    subscription = Subscription(may_be_implicit=False)
    assert subscription.edit(["a"], ["a"]) == Edit(answer=frozenset("a"))
    assert subscription.wants("a")


def test_edits_are_counted_and_repetitions_are_not() -> None:
    """A request that asks for the same is no edit."""
    subscription = Subscription(may_be_implicit=True)
    subscription.replace(["a", "b"])
    subscription.replace(["b", "a", "b"])
    assert subscription.edits == 1
    subscription.replace(["a"])
    assert subscription.edits == 2


def test_a_name_that_the_wildcard_still_covers_is_not_dropped() -> None:
    """The client goes on to hold it; delta has to say what became of it (xds-protocol 22, 32)."""
    subscription = Subscription(may_be_implicit=True)
    subscription.replace(["*", "a"])
    assert subscription.replace(["*"]).dropped == frozenset()
    subscription = Subscription(may_be_implicit=True)
    subscription.edit(["*", "a"], [])
    assert subscription.edit([], ["a"]) == Edit(answer=frozenset("a"))


def test_a_wildcard_that_was_asked_for_ends_with_an_empty_list() -> None:
    """One that was implied goes on (xds-protocol 22)."""
    subscription = Subscription(may_be_implicit=True)
    subscription.replace(["*"])
    assert subscription.replace([]).look_again
    assert not subscription.wildcard
    subscription = Subscription(may_be_implicit=True)
    subscription.replace([])
    assert not subscription.replace([])
    assert subscription.wildcard
