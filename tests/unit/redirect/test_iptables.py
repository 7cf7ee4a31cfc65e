"""The text of rules and sets: golden files that people can read, and properties of the difference."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodegate_redirect.contract import Place
from nodegate_redirect.iptables import saved, sets
from nodegate_redirect.iptables.chains import Shape, chains
from nodegate_redirect.marks import mark_of, port_of
from nodegate_redirect.plan import Target, make_plan
from tests.unit.redirect.redirects import Case, cases

GOLDEN = Path(__file__).parent / "golden"
SHAPES = {
    "one-listener-ipv4": Shape(4, frozenset({18243})),
    "no-listener-ipv6": Shape(6),
    "three-listeners-bridged-ipv6": Shape(6, frozenset({10000, 18243, 18259}), bridged=True),
}
ports = st.frozensets(st.integers(1, 65535))


@pytest.mark.parametrize("name", SHAPES)
def test_the_rules_are_those_of_the_golden_file(name: str) -> None:
    """The files are what ``iptables-restore`` gets on a node without any of our rules (redirect 9, 12, 13)."""
    text, _ = saved.install(chains(SHAPES[name]), saved.Held(), ())
    assert text == (GOLDEN / f"{name}.rules").read_text()


def test_the_mark_of_a_port_is_ciliums() -> None:
    """Ports in network byte order in the high half, 0x200 in the low one (redirect 7)."""
    assert {port: mark_of(port) for port in (18243, 36159, 10000)} == {
        18243: 0x43470200,
        36159: 0x3F8D0200,
        10000: 0x10270200,
    }


@given(st.integers(1, 65535))
def test_a_mark_tells_its_port(port: int) -> None:
    assert port_of(mark_of(port)) == port


@given(ports)
def test_every_port_is_found_through_the_tree_and_no_chain_is_long(wanted: frozenset[int]) -> None:
    """Cost per packet does not grow with the number of listeners (redirect 9)."""
    made = chains(Shape(4, wanted))
    for port in wanted:
        chain, visited = "NODEGATE-TO", 0
        while True:
            rule, passed = _match(made["mangle", chain], mark_of(port))
            visited += passed
            if "TPROXY" in rule:
                break
            chain = rule.rpartition(" ")[2]
        assert f"--on-port {port} " in rule
        assert visited <= 16 + 16 + 256


def test_ten_thousand_listeners_cost_a_connection_some_forty_comparisons() -> None:
    made = chains(Shape(4, frozenset(range(10000, 20000))))
    assert max(len(rules) for rules in made.values()) <= 40


@given(ports, ports, st.booleans())
def test_only_chains_that_differ_are_named(before: frozenset[int], after: frozenset[int], bridged: bool) -> None:  # noqa: FBT001
    """What is right is not touched (DESIGN 3.7)."""
    wanted = chains(Shape(4, after, bridged=bridged))
    held = saved.as_installed(chains(Shape(4, before, bridged=bridged)))
    text, said = saved.install(wanted, held, ())
    differ = {chain for chain, rules in wanted.items() if held.chains.get(chain) != rules}
    gone = held.chains.keys() - wanted.keys()
    assert {line.split()[0][1:] for line in text.splitlines() if line.startswith(":")} == {
        name for _, name in differ | gone
    }
    assert bool(said) == bool(differ or gone)


@given(ports, ports, st.booleans())
def test_the_short_way_from_one_shape_to_another_changes_what_the_long_way_does(
    before: frozenset[int],
    after: frozenset[int],
    bridged: bool,  # noqa: FBT001
) -> None:
    """Only the last chains where ports came or went are made as text (issue 7, 8: one change under 50 ms)."""
    old, new = Shape(4, before, bridged=bridged), Shape(4, after, bridged=bridged)
    whole = saved.install(chains(new), saved.as_installed(chains(old)), ())
    among = before ^ after
    assert saved.install(chains(new, among), saved.as_installed(chains(old, among)), ()) == whole


@given(ports, st.booleans())
def test_what_is_installed_reads_back_as_it_was_meant(wanted: frozenset[int], bridged: bool) -> None:  # noqa: FBT001
    made = chains(Shape(6, wanted, bridged=bridged))
    text, _ = saved.install(made, saved.Held(), ())
    shown = "\n".join(line.replace("-I PREROUTING 1", "-A PREROUTING") for line in text.splitlines())
    assert saved.parse(shown).chains == made


def test_a_jump_behind_another_rule_is_put_first_again() -> None:
    shown = "*nat\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -j KUBE-SERVICES\n-A PREROUTING -j NODEGATE-NAT\nCOMMIT\n"
    text, _ = saved.install({}, saved.parse(shown), ())
    moved = "-D PREROUTING -j NODEGATE-NAT\n-I PREROUTING 1 -j NODEGATE-NAT\n"
    assert moved in text


def test_a_table_is_removed_only_when_we_made_it_and_nobody_else_uses_it() -> None:
    marker = ":NODEGATE-MADE-TABLE - [0:0]\n"
    ours = f"*mangle\n:PREROUTING ACCEPT [0:0]\n{marker}COMMIT\n"
    used = f"*nat\n:PREROUTING ACCEPT [0:0]\n{marker}-A PREROUTING -j THEIRS\nCOMMIT\n"
    closed = f"*filter\n:INPUT DROP [0:0]\n{marker}COMMIT\n"
    assert saved.made_tables(saved.parse(ours + used + closed)) == ["mangle"]
    assert saved.made_tables(saved.parse(ours.replace(marker, ""))) == []


@given(cases, st.sampled_from((4, 6)))
def test_the_changes_of_sets_lead_from_what_is_held_to_what_is_wanted(case: Case, family: int) -> None:
    held = sets.elements(make_plan(case.asked, case.node, case.installed).targets, family)
    wanted = sets.elements(make_plan(case.then, case.node, case.installed).targets, family)
    kernel = _play(_play({}, sets.difference(family, held, _NOTHING)), sets.difference(family, wanted, held))
    shown = sets.create(family) + [f"add {name} {element} {value}".strip() for (name, element), value in kernel.items()]
    parsed = sets.parse("\n".join(shown), family)
    assert parsed is not None
    assert parsed[0] == wanted


def test_a_place_is_closed_before_it_is_there() -> None:
    """Nobody outside the ranges gets in between two commands."""
    targets = {Place("203.0.113.10", 80): Target(18243, ("192.0.2.0/24", "0.0.0.0/0", "198.51.100.7/32"))}
    assert sets.difference(4, sets.elements(targets, 4), _NOTHING) == [
        "add nodegate4-allowed 203.0.113.10,tcp:80,0.0.0.0/1",
        "add nodegate4-allowed 203.0.113.10,tcp:80,128.0.0.0/1",
        "add nodegate4-allowed 203.0.113.10,tcp:80,192.0.2.0/24",
        "add nodegate4-allowed 203.0.113.10,tcp:80,198.51.100.7",
        "add nodegate4-restricted 203.0.113.10,tcp:80",
        "add nodegate4-traffic 203.0.113.10,tcp:80",
        "add nodegate4 203.0.113.10,tcp:80 skbmark 0x43470200/0xffffffff",
    ]


def test_counters_are_read_and_a_missing_set_is_noticed() -> None:
    saved_text = [*sets.create(4), "add nodegate4 10.0.0.1,tcp:80 packets 3 bytes 180 skbmark 0x43470200/0xffffffff"]
    saved_text.append("add nodegate4-traffic 10.0.0.1,tcp:80 packets 12 bytes 900")
    parsed = sets.parse("\n".join(saved_text), 4)
    assert parsed is not None
    assert parsed[1] == {Place("10.0.0.1", 80): (3, 12, 900)}
    assert sets.parse("\n".join(saved_text[1:]), 4) is None


_NOTHING = sets.Elements({}, frozenset(), frozenset())


def _play(kernel: dict[tuple[str, str], str], lines: list[str]) -> dict[tuple[str, str], str]:
    after = dict(kernel)
    for line in lines:
        what, name, element, *value = line.split(" ", 3)
        if what == "add":
            after[name, element] = value[0] if value else ""
        else:
            assert after.pop((name, element), None) is not None, f"{line}: not there"
    return after


def _match(rules: tuple[str, ...], mark: int) -> tuple[str, int]:
    for number, rule in enumerate(rules, 1):
        words = rule.split()
        value, _, mask = words[words.index("--mark") + 1].partition("/")
        if mark & int(mask or "0xffffffff", 16) == int(value, 16):
            return rule, number
    raise AssertionError(f"no rule matches {mark:#x}")
