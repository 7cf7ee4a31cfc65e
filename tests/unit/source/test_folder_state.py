"""Manifests of a folder together: last good versions, the same object twice, and what changes when files change."""

from __future__ import annotations

import time

from hypothesis import given
from hypothesis import strategies as st

from nodegate.model.changes import Delete, Upsert
from nodegate.model.objects import Object, Service
from nodegate.model.refs import Kind, Ref
from nodegate.source import codes
from nodegate.source.files.manifest import Unreadable
from nodegate.source.files.state import Content, FolderState, changes_between
from tests.unit.source.manifests import SEED, TLS_SECRET, messages, service

BROKEN = b"a: [\n"
SHOP = Ref(Kind.SERVICE, "default", "shop")


def state(**files: str | bytes) -> FolderState:
    """Return a folder with these files; `a=` is the file a.yaml."""
    return after(FolderState("manifests"), **files)


def after(before: FolderState, **files: str | bytes | Unreadable | None) -> FolderState:
    """Return the folder after these files changed."""
    contents: dict[str, Content] = {
        f"{name}.yaml": content.encode() if isinstance(content, str) else content for name, content in files.items()
    }
    return before.apply(contents)


def port(found: FolderState, ref: Ref = SHOP) -> int:
    """Return the port of a Service, which stands for its content."""
    one = found.objects[ref]
    assert isinstance(one, Service)
    return one.spec.ports[0].port


def codes_of(found: FolderState) -> list[tuple[str, str]]:
    """Return code and location of all problems."""
    return [(problem.code, problem.location) for problem in found.problems]


def test_all_objects_of_all_files_are_there() -> None:
    found = state(a=SEED, b=service("shop") + "---\n" + service("cart"))
    assert [str(ref) for ref in sorted(found.objects)] == [
        "Ingress default/basic-ingress",
        "Service default/cart",
        "Service default/shop",
    ]
    assert found.problems == ()


def test_a_problem_names_file_and_line_and_field() -> None:
    found = state(a=SEED + "---\n" + service("shop", port=0))
    (problem,) = found.problems
    assert problem.location == "manifests/a.yaml:19"
    assert problem.ref == SHOP
    assert problem.field == "spec.ports[0].port"


# --- Last good ---------------------------------------------------------------------------------------------------


def test_a_file_that_does_not_parse_keeps_all_its_objects() -> None:
    before = state(a=service("shop") + "---\n" + service("cart"))
    found = after(before, a=BROKEN)
    assert found.objects == before.objects
    assert codes_of(found) == [("InvalidSyntax", "manifests/a.yaml:1")]
    assert "last good version of the file stays in use" in messages(found.problems)


def test_a_file_that_never_parsed_has_no_objects_and_promises_none() -> None:
    found = state(a=BROKEN)
    assert not found.objects
    assert "stays in use" not in found.problems[0].message


def test_of_a_file_with_one_bad_object_only_that_one_stays_as_it_was() -> None:
    before = state(a=service("shop", 80) + "---\n" + service("cart", 80))
    found = after(before, a=service("shop", 0) + "---\n" + service("cart", 81))
    assert port(found) == 80
    assert port(found, Ref(Kind.SERVICE, "default", "cart")) == 81
    assert "last good version of the object stays in use" in messages(found.problems)


def test_a_bad_object_stays_as_it_was_through_any_number_of_bad_edits() -> None:
    found = state(a=service("shop", 80))
    for content in (service("shop", 0), BROKEN, service("shop", -1), b"\xff", service("shop", 70000)):
        found = after(found, a=content)
        assert port(found) == 80
    found = after(found, a=service("shop", 90))
    assert port(found) == 90
    assert found.problems == ()


def test_an_object_taken_out_of_a_file_is_gone_although_another_in_it_is_bad() -> None:
    found = after(state(a=service("shop") + "---\n" + service("cart")), a=service("shop", 0))
    assert set(found.objects) == {SHOP}


def test_nothing_is_taken_away_while_it_cannot_be_told_what_a_document_is() -> None:
    """Somebody who is editing the name of an object has not deleted it."""
    before = state(a=service("shop") + "---\n" + service("cart"))
    found = after(before, a=service("shop").replace("name: shop", "name:") + "---\n" + service("cart", 81))
    assert set(found.objects) == set(before.objects)
    assert port(found, Ref(Kind.SERVICE, "default", "cart")) == 81
    assert "What was in the file before stays in use." in messages(found.problems)


def test_an_old_api_version_keeps_the_last_good_object() -> None:
    found = after(state(a=SEED), a=SEED.replace("networking.k8s.io/v1", "extensions/v1beta1"))
    assert len(found.objects) == 1
    assert codes_of(found) == [("UnsupportedVersion", "manifests/a.yaml:1")]


def test_a_deleted_file_takes_its_objects_along_even_when_it_was_broken() -> None:
    found = after(after(state(a=service("shop")), a=BROKEN), a=None)
    assert not found.objects
    assert found.problems == ()


def test_a_file_that_is_suddenly_empty_keeps_its_objects() -> None:
    """`kubectl get ... > a.yaml` empties the file before kubectl even starts, and for good when it fails."""
    before = state(a=service("shop"))
    for empty in ("", "\n \n"):
        found = after(before, a=empty)
        assert found.objects == before.objects
        assert codes_of(found) == [("EmptyFile", "manifests/a.yaml")]
    assert after(after(before, a=""), a=service("shop")).problems == ()


def test_a_file_with_nothing_but_a_comment_has_no_objects() -> None:
    found = after(state(a=service("shop")), a="# gone\n---\n")
    assert not found.objects
    assert found.problems == ()


def test_a_file_that_always_was_empty_is_no_problem() -> None:
    assert state(a="").problems == ()


def test_a_file_that_cannot_be_read_keeps_its_objects() -> None:
    found = after(state(a=service("shop")), a=Unreadable(codes.FILE_UNREADABLE, "It cannot be read: no."))
    assert port(found) == 80
    assert codes_of(found) == [("FileUnreadable", "manifests/a.yaml")]


# --- Renaming and moving -----------------------------------------------------------------------------------------


def test_a_renamed_file_changes_nothing() -> None:
    before = state(a=service("shop"), m=SEED)
    for names in ({"a": None, "z": service("shop")}, {"m": None, "b": SEED}):
        assert changes_between(before, after(before, **names)) == ()


def test_a_broken_file_may_be_renamed() -> None:
    before = after(state(a=service("shop")), a=BROKEN)
    found = after(before, a=None, b=BROKEN)
    assert changes_between(before, found) == ()
    assert codes_of(found) == [("InvalidSyntax", "manifests/b.yaml:1")]


def test_an_object_may_be_moved_to_another_file_and_broken_at_the_same_time() -> None:
    before = state(a=service("shop", 80), b=SEED)
    found = after(before, a=None, b=SEED + "---\n" + service("shop", 0))
    assert changes_between(before, found) == ()


# --- The same object twice ---------------------------------------------------------------------------------------


def test_of_two_files_with_the_same_object_the_first_by_path_counts() -> None:
    found = state(b=service("shop", 81), a=SEED + "---\n" + service("shop", 80))
    assert port(found) == 80
    (problem,) = found.problems
    assert (problem.code, problem.ref, problem.location) == ("DuplicateObject", SHOP, "manifests/b.yaml:1")
    assert "manifests/a.yaml:12" in problem.message


def test_the_second_takes_over_when_the_first_goes_away_without_a_delete_between() -> None:
    before = state(a=service("shop", 80), b=service("shop", 81))
    for content in (None, "# moved", SEED):
        found = after(before, a=content)
        changes = changes_between(before, found)
        assert Upsert(found.objects[SHOP]) in changes
        assert Delete(SHOP) not in changes
        assert port(found) == 81
        assert found.problems == ()


def test_the_first_takes_over_when_it_comes_later() -> None:
    before = state(b=service("shop", 81))
    assert port(after(before, a=service("shop", 80))) == 80


def test_a_bad_copy_that_comes_first_leaves_the_good_one_in_use() -> None:
    """Nothing that works is lost because of what does not."""
    before = state(b=service("shop", 81))
    assert changes_between(before, after(before, a=service("shop", 0))) == ()


def test_the_same_object_twice_in_one_file_counts_once() -> None:
    found = state(a=service("shop", 80) + "---\n" + service("shop", 81))
    assert port(found) == 80
    assert codes_of(found) == [("DuplicateObject", "manifests/a.yaml:10")]
    assert "line 1" in found.problems[0].message


# --- Changes -----------------------------------------------------------------------------------------------------


def test_equal_content_is_no_change_and_not_even_a_new_state() -> None:
    before = state(a=service("shop"))
    assert after(before, a=service("shop")) is before
    assert changes_between(before, after(before, a="# a comment\n" + service("shop"))) == ()


def test_only_what_changed_is_a_change() -> None:
    before = state(a=service("shop", 80) + "---\n" + service("cart"), b=SEED)
    found = after(before, a=service("shop", 81) + "---\n" + service("cart"))
    assert changes_between(before, found) == (Upsert(found.objects[SHOP]),)


def test_a_file_that_did_not_change_is_not_read_again() -> None:
    before = state(a=service("shop"), b=SEED)
    found = after(before, a=service("shop", 81), b=SEED)
    assert found.files["b.yaml"] is before.files["b.yaml"]


def test_the_first_reading_costs_work_in_the_number_of_files_only() -> None:
    """Twice the files must not take four times as long."""

    def seconds(count: int) -> float:
        contents: dict[str, Content] = {f"{number}.yaml": service(f"s{number}").encode() for number in range(count)}
        started = time.process_time()
        FolderState().apply(contents)
        return time.process_time() - started

    seconds(50)  # what is made once is made
    assert min(seconds(400) for _ in range(2)) < 3 * max(seconds(200) for _ in range(2))


# --- After any history -------------------------------------------------------------------------------------------

_NAMES = st.sampled_from(["a", "b", "c"])
_GOOD = st.lists(st.tuples(st.sampled_from(["shop", "cart"]), st.integers(80, 82)), max_size=2).map(
    lambda pairs: ("# a comment\n" + "---\n".join(service(name, number) for name, number in pairs)).encode()
)
_UNREADABLE = st.sampled_from([b"", BROKEN, b"\xff", b"kind: Service\n", b"[]"])
_BAD = _UNREADABLE | st.just(service("shop", 0).encode())
_EDITS = st.dictionaries(_NAMES.map(lambda name: f"{name}.yaml"), st.none() | _GOOD | _BAD, max_size=3)


@given(st.lists(_EDITS, max_size=6))
def test_changes_lead_from_each_state_to_the_next(history: list[dict[str, Content]]) -> None:
    """Whoever applies all batches has exactly the objects of the folder, and never deletes what he has not got."""
    held: dict[Ref, Object] = {}
    current = FolderState()
    for edit in history:
        following = current.apply(edit)
        for change in changes_between(current, following):
            if isinstance(change, Upsert):
                assert held.get(change.ref) != change.object
                held[change.ref] = change.object
            else:
                del held[change.ref]
        current = following
        assert held == current.objects


@given(st.lists(st.dictionaries(_NAMES.map(lambda name: f"{name}.yaml"), st.none() | _GOOD, max_size=3), max_size=6))
def test_without_bad_files_history_does_not_matter(history: list[dict[str, Content]]) -> None:
    """The same files, the same objects and problems, however they came to be."""
    current, files = FolderState(), dict[str, Content]()
    for edit in history:
        current, files = current.apply(edit), files | edit
    fresh = FolderState().apply({path: content for path, content in files.items() if content is not None})
    assert current.objects == fresh.objects
    assert current.problems == fresh.problems


@given(st.lists(_EDITS, max_size=6), st.dictionaries(_NAMES.map(lambda name: f"{name}.yaml"), _UNREADABLE, max_size=3))
def test_files_that_cannot_be_made_out_never_take_an_object_away(
    history: list[dict[str, Content]], edit: dict[str, Content]
) -> None:
    current = FolderState()
    for earlier in history:
        current = current.apply(earlier)
    assert current.apply(edit).objects == current.objects


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """Return a good manifest with something cut out, doubled or put in."""
    good = draw(
        st.sampled_from([SEED, TLS_SECRET, service("shop"), '{"apiVersion": "v1", "kind": "List", "items": [{}]}'])
    )
    text = good.encode()
    start, end = sorted(draw(st.tuples(*[st.integers(0, len(text))] * 2)))
    put_in = draw(
        st.binary(max_size=8) | st.sampled_from([b"", b"\n", b"- ", b": ", b"{", b"]", b"null", text[start:end] * 2])
    )
    return text[:start] + put_in + text[end:]


@given(st.sampled_from(["a.yaml", "a.json"]), st.binary(max_size=64) | damaged())
def test_any_bytes_in_a_file_are_objects_or_problems(path: str, content: bytes) -> None:
    """Nothing that a file can hold is raised, and every problem says where it is and what to do."""
    found = FolderState("m").apply({path: content})
    for problem in found.problems:
        assert problem.location.startswith(f"m/{path}:")
        assert 1 <= int(problem.location.rsplit(":")[-1]) <= len(content.decode(errors="replace").splitlines()) + 1
        assert problem.message.endswith(".")
        assert problem.remedy
        assert "a2V5" not in problem.message
