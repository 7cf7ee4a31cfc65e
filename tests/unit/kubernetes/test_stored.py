"""The text of a journal comes to exactly what was told, and what cannot be relied on is refused (decision 0017)."""

from __future__ import annotations

import json
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodegate.model.objects import Metadata, Object, Service
from nodegate.model.refs import Kind, Ref
from nodegate.source.kubernetes.stored import PER_RECORD, NotUnderstood, read, record, whole
from tests.unit.translate.arbitrary import objects

SOURCE = "https://10.96.0.1"


def service(name: str, **labels: str) -> Service:
    return Service(Metadata(name, "shop", labels=labels))


def by_ref(*found: Object) -> dict[Ref, Object]:
    return {one.ref: one for one in found}


def lines(*found: Object, source: str = SOURCE) -> list[bytes]:
    return list(whole(by_ref(*found), source, "1.0"))


def header(text: Iterable[bytes], **changed: object) -> list[bytes]:
    """Return the lines with some fields of the header changed."""
    first, *rest = text
    return [json.dumps(json.loads(first) | changed).encode() + b"\n", *rest]


@given(st.lists(objects(), max_size=6), st.lists(st.lists(objects(), max_size=3), max_size=3), st.data())
def test_what_is_read_is_what_was_written(first: list[Object], later: list[list[Object]], data: st.DataObject) -> None:
    """Any object the model can hold, any changes after it, deletions too."""
    told = by_ref(*first)
    text = list(whole(told, SOURCE, "1.0"))
    for changed in later:
        gone = data.draw(st.sets(st.sampled_from(sorted(told)))) if told else set()
        changes: dict[Ref, Object | None] = {**dict.fromkeys(gone), **by_ref(*changed)}
        text.append(record(changes))
        told = {ref: one for ref, one in (told | changes).items() if one is not None}
    assert read(text, SOURCE) == (told, True)


def test_one_torn_anywhere_is_what_it_was_before_its_last_record() -> None:
    """A crash in the middle of a line loses that line, and never half of what belongs together."""
    begun = b"".join(lines(service("a"), service("b")))
    one, two = record(by_ref(service("c"))), record({Ref(Kind.SERVICE, "shop", "a"): None})
    states = {0: {"a", "b"}, 1: {"a", "b", "c"}, 2: {"b", "c"}}
    whole_text = begun + one + two
    ends = [len(begun), len(begun + one), len(whole_text)]
    for end in range(len(begun), len(whole_text) + 1):
        found, is_whole = read(whole_text[:end].splitlines(keepends=True), SOURCE)
        assert {ref.name for ref in found} == states[sum(end >= at for at in ends) - 1]
        assert is_whole == (end in ends)


def test_one_of_which_even_the_beginning_is_not_there_is_refused() -> None:
    """Half of a cluster is not to be served."""
    text = lines(*(service(f"s{number}") for number in range(3 * PER_RECORD)))
    with pytest.raises(NotUnderstood, match="Only 2 of the 3 records"):
        read(text[:-1], SOURCE)
    with pytest.raises(NotUnderstood, match="Only 1 of the 3 records"):
        read([*text[:2], b"\0" * 100 + b"\n", *text[2:]], SOURCE)


@pytest.mark.parametrize("first", [b"", b"\n", b"{}\n", b"\0\0\0\n", b"[1]\n"])
def test_what_is_no_journal_is_refused(first: bytes) -> None:
    """Whatever else it may be."""
    with pytest.raises(NotUnderstood, match="first line"):
        read([first], SOURCE)


def test_one_of_another_cluster_is_refused() -> None:
    """A state folder may have been used for another."""
    with pytest.raises(NotUnderstood, match=r"another cluster.*https://192\.0\.2\.1"):
        read(lines(source="https://192.0.2.1"), SOURCE)


def test_one_of_another_version_is_refused() -> None:
    """What it means is not known."""
    with pytest.raises(NotUnderstood, match="version 2, and this nodegate reads version 1"):
        read(header(lines(), version=2), SOURCE)


def test_one_of_a_nodegate_that_did_not_read_all_that_this_one_does_is_refused() -> None:
    """What it left out may be what keeps somebody out: to serve without it is worse than to wait."""
    fields = [field for field in json.loads(lines()[0])["fields"] if field != "ServiceSpec.loadBalancerSourceRanges"]
    assert len(fields) > 50
    with pytest.raises(NotUnderstood, match=r"nodegate 1\.0, .* did not read ServiceSpec\.loadBalancerSourceRanges"):
        read(header(lines(), fields=fields), SOURCE)


def test_one_of_a_nodegate_that_read_more_is_understood() -> None:
    """After a step back to an older one: what it does not know it does not serve anyway."""
    text = header(lines(service("a")), fields=[*json.loads(lines()[0])["fields"], "ServiceSpec.comesLater"])
    text[1] = text[1].replace(b'"services":[{', b'"services":[{"comesLater": 1,')
    assert read(text, SOURCE) == (by_ref(service("a")), True)
