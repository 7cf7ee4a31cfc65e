"""Who is to blame for a refused message."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodegate.server.protocol.rejection import Rejections, names_in_text


@pytest.mark.parametrize(
    ("text", "blamed"),
    [
        ("Error adding/updating cluster(s) shop/a/80: no", {"shop/a/80"}),
        ("cluster 'shop/a/80' and \"shop/b/80\"", {"shop/a/80", "shop/b/80"}),
        ("shop/a/80.", {"shop/a/80"}),
        ("shop/a/8080 xshop/a/80 shop/a/80/x", set()),
        ("listener shop/l/http@18243: address in use", {"shop/l/http@18243"}),
        ("", set()),
    ],
)
def test_a_name_is_blamed_when_it_stands_in_the_text_as_a_whole(text: str, blamed: set[str]) -> None:
    """Envoy quotes, brackets and ends sentences with names (xds-protocol 35)."""
    assert names_in_text(text, ["shop/a/80", "shop/b/80", "shop/l/http@18243"]) == blamed


@given(
    st.sets(st.integers(0, 40), min_size=1).flatmap(
        lambda names: st.tuples(st.just(names), st.sets(st.sampled_from(sorted(names))))
    )
)
def test_halving_finds_exactly_the_guilty(case: tuple[set[int], set[int]]) -> None:
    """With at most two messages for each halving of each culprit, none of them twice (xds-protocol 35, 12)."""
    everyone, guilty = ({f"n{number}" for number in one} for one in case)
    rejections, seen = Rejections(), []
    message = dict.fromkeys(everyone, "v1")
    while message:
        assert set(message) not in seen
        seen.append(set(message))
        if guilty & message.keys():
            rejections.refuse(message, "no reason")
        else:
            for name in message:
                rejections.accept(name, "v1")
        message = dict(rejections.trial)
    assert rejections.rejected.keys() == guilty
    assert len(seen) <= 1 + 2 * len(guilty) * len(everyone).bit_length()
    assert not any(rejections.awaits_trial(name, "v1") for name in everyone)


def test_other_content_is_judged_anew() -> None:
    """What changed, or went, is neither rejected nor on trial (xds-protocol 12)."""
    rejections = Rejections()
    rejections.refuse({"a": "1"}, "no")
    rejections.refuse({"b": "1", "c": "1"}, "no")
    assert rejections.refuses("a", "1")
    assert not rejections.refuses("a", "2")
    assert rejections.awaits_trial("c", "1")
    assert not rejections.awaits_trial("c", "2")
    for name in "abc":
        rejections.look_at(name, "2")
    assert not rejections
    assert not rejections.trial


def test_a_half_that_may_not_be_sent_alone_is_not_tried() -> None:
    """In state of the world it would delete the other half (xds-protocol 16)."""
    rejections = Rejections()
    assert rejections.refuse({"a": "1", "b": "1"}, "no", may_halve=False) == frozenset()
    assert not rejections


def test_rejections_are_there_while_something_is_rejected_or_on_trial() -> None:
    """Such a stream is not served as all others are (xds-protocol 35)."""
    rejections = Rejections()
    assert not rejections
    rejections.refuse({"a": "1", "b": "1"}, "what?")
    assert rejections
    assert not rejections.rejected
    rejections = Rejections()
    rejections.refuse({"a": "1"}, "a is bad")
    assert rejections
