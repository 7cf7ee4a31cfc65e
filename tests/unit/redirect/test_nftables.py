"""The table's text: a golden file that people can read, and properties of its changes."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodegate_redirect.contract import Place
from nodegate_redirect.nftables.rules import TABLE, body, changes, parse_chain
from nodegate_redirect.plan import REFUSED, Plan, Target, make_plan
from tests.unit.redirect.redirects import Case, cases

GOLDEN = Path(__file__).parent / "golden"
TARGETS = {
    Place("10.103.218.167", 80): Target(18243),
    Place("203.0.113.10", 80): Target(18243, ("192.0.2.0/24", "192.0.2.128/25", "198.51.100.7/32", "2001:db8::/32")),
    Place("fd00:96::a7", 80): Target(REFUSED),
}
PLAN = Plan(TARGETS, uses={(4, 18243): 2})


@pytest.mark.parametrize("bridged", [False, True], ids=["nftables", "nftables-bridged"])
def test_the_table_is_that_of_the_golden_file(request: pytest.FixtureRequest, bridged: bool) -> None:  # noqa: FBT001
    """The files are what ``nft -f`` gets on a node without any of our rules."""
    text = f"table inet {TABLE} {{\n{body(bridged=bridged)}}}\n" + changes(PLAN, {}, frozenset(), bridged=bridged)
    assert text == (GOLDEN / f"{request.node.callspec.id}.rules").read_text()


@given(cases, st.booleans())
def test_changes_lead_from_what_is_held_to_what_is_wanted(case: Case, bridged: bool) -> None:  # noqa: FBT001
    """Chains are there before an element leads to them, and go after the last one that does."""
    held, wanted = (make_plan(asked, case.node, case.installed) for asked in (case.asked, case.then))
    kernel = play({}, changes(held, {}, frozenset(), bridged=bridged))
    kernel = play(kernel, changes(wanted, held.targets, held.ports, bridged=bridged))
    assert kernel == play({}, changes(wanted, {}, frozenset(), bridged=bridged))
    assert changes(wanted, wanted.targets, wanted.ports, bridged=bridged) == ""
    assert ports_of(kernel) == {place: target.port for place, target in wanted.targets.items()}


def test_an_empty_plan_needs_no_changes() -> None:
    assert changes(Plan(), {}, frozenset(), bridged=True) == ""


def play(kernel: dict[str, str], text: str) -> dict[str, str]:
    """Return what a table holds after commands: elements with what they lead to, and chains."""
    after = dict(kernel)
    for line in text.splitlines():
        verb, kind, _, _, name, *rest = line.split(maxsplit=5)
        if kind == "rule":
            assert f"chain {name}" in after
            continue
        inside = rest[0].strip("{} ") if rest else ""
        key, _, verdict = inside.partition(" : ")
        thing = f"{kind} {name} {key}".strip()
        if verdict.startswith("goto ") and verdict != "goto refuse":
            assert f"chain {verdict.removeprefix('goto ')}" in after
        if verb == "add":
            after[thing] = verdict
        else:
            assert kind != "chain" or f"goto {name}" not in after.values(), f"{line}: still led to"
            del after[thing]
    return after


def ports_of(kernel: dict[str, str]) -> dict[Place, int]:
    """Return where each place leads to."""
    found = {}
    for thing, verdict in kernel.items():
        if thing.startswith("element frontends"):
            address, _, port = thing.split(maxsplit=2)[2].partition(" . ")
            found[Place(address, int(port))] = parse_chain(verdict.removeprefix("goto "))
    return found
