"""Bytes of a manifest become documents, as kubectl reads them, and no bytes do harm."""

from __future__ import annotations

import json
import time

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from nodegate.source import codes
from nodegate.source.documents import Failure, read_documents
from nodegate.source.scalars import resolve
from nodegate.source.yaml_documents import MAX_DEPTH
from tests.unit.source.manifests import documents, failure, values

PEM_LINE = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("yes", True),
        ("Off", False),
        ("~", None),
        ("", None),
        ("80", 80),
        ("-3", -3),
        ("+12", 12),
        ("0x1F", 31),
        ("-0b11", -3),
        ("0o17", 15),
        ("0755", 493),
        ("1_000", 1000),
        ("089", 89),
        ("1.5", 1.5),
        (".5", 0.5),
        ("1e3", 1000.0),
        ("12:30", "12:30"),
        ("2024-01-01", "2024-01-01"),
        ("2024-01-01T00:00:00Z", "2024-01-01T00:00:00Z"),
        ("10.0.0.1", "10.0.0.1"),
        ("1.2.3", "1.2.3"),
        ("-", "-"),
        ("0x", "0x"),
        ("'80'", "80"),
        ('"yes"', "yes"),
        ("!!str 80", "80"),
        ("! 80", "80"),
        ("!!int '80'", 80),
    ],
)
def test_a_scalar_means_what_kubectl_takes_it_for(text: str, value: object) -> None:
    """YAML 1.1 without base-60 numbers and timestamps, as go-yaml reads it."""
    (document,) = documents(f"a: [{text}]" if text else "a: [~]")
    assert document.value == {"a": [value]}
    assert document.findings == ()


def test_a_number_no_program_can_hold_does_no_harm() -> None:
    """Python refuses to read integers of more than 4,300 digits; the text is a float then, or stays text."""
    assert values("a: [" + "9" * 5000 + ", 0x" + "f" * 5000 + "]") == [{"a": [float("inf"), "0x" + "f" * 5000]}]


def test_a_key_with_null_counts_as_absent() -> None:
    """`labels: null` and `creationTimestamp: null` mean the same as nothing to the API server."""
    assert values("a: null\nb: ~\nc:\nd: {e: null}\nf: [null]") == [{"d": {}, "f": [None]}]
    assert values('{"a": null, "d": {"e": null}}') == [{"d": {}}]


@pytest.mark.parametrize("text", ["", "\n", "---\n", "---\n---\n", "# nothing\n", "\ufeff", "---\n...\n---\n# x\n"])
def test_an_empty_document_is_none(text: str) -> None:
    assert documents(text) == ()


def test_documents_are_separated_by_three_dashes() -> None:
    assert values("a: 1\n---\nb: 2\n---\n---\nc: 3\n") == [{"a": 1}, {"b": 2}, {"c": 3}]


def test_json_values_may_follow_each_other() -> None:
    """Kubectl reads a stream of JSON objects too."""
    assert values('{"a": 1}\n{"b": 2} {"c": 3}\n') == [{"a": 1}, {"b": 2}, {"c": 3}]


def test_a_byte_order_mark_is_passed_over() -> None:
    assert values("\ufeffa: 1".encode()) == [{"a": 1}]
    assert values('\ufeff{"a": 1}'.encode()) == [{"a": 1}]


def test_what_starts_like_json_may_be_yaml() -> None:
    assert values("{a: 1, b: [x]}") == [{"a": 1, "b": ["x"]}]


def test_json_characters_outside_the_basic_plane_are_whole() -> None:
    r"""JSON writes them as two escapes (RFC 8259 section 7), which YAML does not know."""
    assert values(r'{"a": "\ud83d\ude00"}') == [{"a": "\U0001f600"}]


def test_half_a_character_is_refused() -> None:
    """What cannot be written as UTF-8 must not get into an object."""
    assert failure(r'{"a": "\ud83d"}', is_json=True).code is codes.INVALID_SYNTAX


def test_merge_keys_fill_in_what_a_mapping_does_not_say() -> None:
    text = "x: &x {a: 1, b: 2}\ny: &y {b: 3, c: 4}\nz: {b: 5, <<: *x}\nw: {<<: [*y, *x]}\nv: {<<: *x, a: null}\n"
    (document,) = documents(text)
    assert document.findings == ()
    assert document.value["z"] == {"a": 1, "b": 5}
    assert document.value["w"] == {"a": 1, "b": 3, "c": 4}
    assert document.value["v"] == {"b": 2}


# --- Lines -------------------------------------------------------------------------------------------------------


def test_a_field_is_found_on_its_line() -> None:
    (first, second) = documents("a:\n  b:\n  - c: 1\n  - c:\n      d: 2\n---\n\nx: 1\ny: {z: 2,\n   w: 3}\n")
    assert first.lines.line_of(()) == 1
    assert first.lines.line_of(("a", "b", 0)) == 3
    assert first.lines.line_of(("a", "b", 1, "c", "d")) == 5
    assert second.lines.line_of(("x",)) == 8
    assert second.lines.line_of(("y", "w")) == 10


def test_a_missing_field_is_on_the_line_of_what_is_around_it() -> None:
    (document,) = documents("a:\n  b:\n  - c: 1\n")
    assert document.lines.line_of(("a", "b", 0, "nothing", "below")) == 3
    assert document.lines.line_of(("a", "b", 7)) == 2
    assert document.lines.line_of(("a", "b", "c")) == 2


def test_a_null_field_has_a_line() -> None:
    (document,) = documents("a: 1\nb: null\n")
    assert document.lines.line_of(("b",)) == 2


@given(
    st.recursive(
        st.integers() | st.text(st.characters(codec="utf-8", exclude_categories=["C"]), max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", max_size=3), inner, max_size=3),
        max_leaves=12,
    ),
    st.sampled_from([None, 1, 3]),
)
def test_json_has_the_same_lines_as_the_same_text_read_as_yaml(value: object, indent: int | None) -> None:
    """Lines of JSON are looked up later, and only in the item they are in; the result must be the same."""
    text = json.dumps({"kind": "List", "items": [value, {"x": value}], "z": value}, indent=indent, ensure_ascii=False)
    (from_json,) = documents("\n\n" + text)
    (from_yaml,) = documents("\n---\n" + text)
    for path in _paths(from_json.value):
        assert from_json.lines.line_of(path) == from_yaml.lines.line_of(path), path


def test_json_has_lines_where_yaml_cannot_read_it() -> None:
    (document,) = documents('{"a": "\\ud83d\\ude00",\n"b": {\n"c": 1}}')
    assert document.lines.line_of(("b", "c")) == 3


def _paths(value: object, prefix: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    below = enumerate(value) if isinstance(value, list) else value.items() if isinstance(value, dict) else ()
    return [prefix, *(path for step, inner in below for path in _paths(inner, (*prefix, step)))]


def test_many_lines_of_a_json_list_cost_no_more_than_reading_it() -> None:
    """A `kubectl get -o json` of thousands of objects is one document; asking for each line must not read all of it."""
    items = [{"apiVersion": "v1", "kind": "Service", "metadata": {"name": f"s{n}"}} for n in range(3000)]
    (document,) = documents(json.dumps({"kind": "List", "items": items}, indent=1))
    started = time.process_time()
    lines = [document.lines.line_of(("items", index)) for index in range(3000)]
    assert lines == sorted(set(lines))
    assert time.process_time() - started < 2


# --- What is wrong with a text -----------------------------------------------------------------------------------


def test_a_syntax_error_names_line_and_column() -> None:
    found = failure("a: 1\nb: [1, 2\nc: 3\n")
    assert found.code is codes.INVALID_SYNTAX
    assert found.line == 3
    assert "column 2" in found.message


def test_a_syntax_error_at_the_end_is_on_the_last_line_and_names_where_it_began() -> None:
    found = failure("a: 1\nb: [1,\n  2\n")
    assert found.line == 3
    assert "began on line 2" in found.message


def test_a_tab_in_the_indentation_is_called_by_its_name() -> None:
    found = failure("a:\n\tb: 1\n")
    assert found.line == 2
    assert "tabs" in found.message


def test_a_json_file_gets_the_message_of_json() -> None:
    found = failure('{\n "a": 1,\n "b": [1 2]\n}', is_json=True)
    assert found.line == 3
    assert "not valid JSON" in found.message


def test_bytes_that_are_not_utf8_are_named_with_their_line() -> None:
    found = failure(b"a: 1\nb: \xff\n")
    assert found.code is codes.INVALID_ENCODING
    assert found.line == 2


def test_control_characters_are_refused() -> None:
    found = failure(b"a: 1\nb: \x00\n")
    assert found.code is codes.INVALID_SYNTAX
    assert found.line == 2


def test_a_key_written_twice_is_found_with_both_lines() -> None:
    """The API server is asked for strict validation by kubectl, which refuses duplicates."""
    (document,) = documents("a: 1\nb:\n- c: 1\n  d: 2\n  c: 3\na: 2\n")
    assert [(one.code, one.path) for one in document.findings] == [
        (codes.DUPLICATE_KEY, ("b", 0, "c")),
        (codes.DUPLICATE_KEY, ("a",)),
    ]
    assert "line 3" in document.findings[0].message


def test_a_key_written_twice_in_json_is_found_with_both_lines() -> None:
    (document,) = documents('{"a": 1,\n"b": {"c": 1,\n"c": 2}}')
    assert [one.path for one in document.findings] == [("b", "c")]
    assert document.lines.line_of(("b", "c")) == 3


@pytest.mark.parametrize("text", ["a: !custom 1", "a: !!binary aGk=", "? [x]\n: 1", "? {x: 1}\n: 1", "a: !!set {x}"])
def test_yaml_that_no_object_can_hold_is_found(text: str) -> None:
    (document,) = documents(text)
    assert {one.code for one in document.findings} == {codes.UNSUPPORTED_YAML}


def test_nesting_without_end_is_refused_before_it_exhausts_the_stack() -> None:
    for text in (
        "[" * 100_000,
        "- " * 100_000,
        "{a: " * 100_000,
        "a:\n" + "".join(" " * n + "b:\n" for n in range(1, 500)),
    ):
        assert failure(text).code is codes.DOCUMENT_TOO_COMPLEX
    assert isinstance(read_documents(b'{"a":' * 100_000), Failure)


def test_the_deepest_nesting_allowed_is_read() -> None:
    assert documents("[" * MAX_DEPTH + "]" * MAX_DEPTH)
    assert failure("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1)).code is codes.DOCUMENT_TOO_COMPLEX


def test_aliases_that_multiply_are_refused_before_they_are_expanded() -> None:
    """The billion laughs: nine levels of nine aliases each."""
    levels = ["l0: &l0 [x, x, x, x, x, x, x, x, x]"]
    levels += [f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]" for n in range(1, 10)]
    found = failure("\n".join(levels))
    assert found.code is codes.DOCUMENT_TOO_COMPLEX
    assert "aliases" in found.message


def test_aliases_that_nest_are_refused() -> None:
    deep = "[" * 60 + "]" * 60
    text = f"a: &a {deep}\nb: &b {'[' * 60}*a{']' * 60}\n"
    assert failure(text).code is codes.DOCUMENT_TOO_COMPLEX


def test_an_alias_for_itself_is_refused() -> None:
    found = failure("a: &a [1, *a]")
    assert found.code is codes.INVALID_SYNTAX
    assert "itself" in found.message


def test_an_alias_does_not_reach_into_another_document() -> None:
    assert failure("a: &a 1\n---\nb: *a\n").line == 3


def test_a_moderate_use_of_aliases_is_fine() -> None:
    assert values("a: &a {x: 1}\nb: *a\nc: [*a, *a]\n") == [{"a": {"x": 1}, "b": {"x": 1}, "c": [{"x": 1}] * 2}]


@pytest.mark.parametrize(
    "text",
    [
        f"data:\n  tls.key: |\n  {PEM_LINE}\n",
        f"data:\n  tls.key: '{PEM_LINE}\n",
        f"data: {{tls.key: {PEM_LINE}\nx",
        f"{PEM_LINE}: 1\n{PEM_LINE}: 2\n",
        f"a: !{PEM_LINE} x",
        f"a: *{PEM_LINE}",
        f'{{"tls.key": "{PEM_LINE}',
    ],
)
def test_no_message_shows_what_may_be_a_key(text: str) -> None:
    """A private key must not get into a log because the YAML around it is broken."""
    read = read_documents(text.encode(), is_json=text.startswith("{"))
    shown = read.message if isinstance(read, Failure) else "".join(str(one.findings) for one in read)
    found = [one for document in read for one in document.findings] if not isinstance(read, Failure) else []
    assert shown
    assert PEM_LINE not in (shown if isinstance(read, Failure) else "".join(one.message for one in found))


# --- Any bytes ---------------------------------------------------------------------------------------------------

_TOKENS = [
    "- ",
    ": ",
    "? ",
    "&a ",
    "*a",
    "<<: ",
    "|\n",
    ">\n",
    "!!str ",
    "---\n",
    "...\n",
    "%YAML 1.1\n",
    "1e9",
    "null",
]
_PIECES = st.sampled_from("ab[]{},'\"#~\\\n\t \x85\ufeff\u2028") | st.sampled_from(_TOKENS)


@given(st.binary(max_size=200) | st.lists(_PIECES, max_size=40).map(lambda pieces: "".join(pieces).encode()))
def test_any_bytes_are_read_or_refused_with_a_sentence(content: bytes) -> None:
    read = read_documents(content)
    if isinstance(read, Failure):
        assert read.line >= 1
        assert read.message.endswith(".")
        return
    for document in read:
        for path in [(), *(one.path for one in document.findings)]:
            assert document.lines.line_of(path) >= 1


_TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["C"]), max_size=8).filter(
    # PyYAML does not quote all that is a number for kubectl, such as 0E0, nor `<<`, the key that merges.
    lambda text: resolve(text) == text and text != "<<"
)


@given(
    st.recursive(
        st.booleans() | st.integers(-(2**60), 2**60) | _TEXTS,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXTS, inner, max_size=3),
        max_leaves=8,
    )
)
def test_what_a_yaml_writer_wrote_is_read_back(value: object) -> None:
    """PyYAML writes, this reads: two implementations of the same language."""
    written = yaml.safe_dump({"v": value}, allow_unicode=True)
    assert values(written) == [{"v": value}]
