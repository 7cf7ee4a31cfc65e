"""What iptables holds, read from ``iptables-save``, and the input of ``iptables-restore`` that changes it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from nodegate_redirect.iptables.chains import JUMPS, MADE_TABLE, PREFIX, TABLES, Chain


@dataclass(frozen=True, slots=True)
class Held:
    """What the kernel holds of one family.

    ``chains`` are those of ours with their rules. ``firsts`` is the first rule of each base chain that we jump from,
    ``jumps`` how often each of our jumps is there. ``empty`` are tables in which nothing is but our marker of tables.
    """

    chains: Mapping[Chain, tuple[str, ...]] = field(default_factory=dict)
    firsts: Mapping[Chain, str] = field(default_factory=dict)
    jumps: Mapping[Chain, int] = field(default_factory=dict)
    empty: frozenset[str] = frozenset()


def parse(saved: str) -> Held:
    """Return what one run of ``iptables-save`` shows."""
    chains: dict[Chain, list[str]] = {}
    firsts: dict[Chain, str] = {}
    jumps: dict[Chain, int] = {}
    foreign: set[str] = set()
    seen: set[str] = set()
    for table, line in _lines(saved):
        seen.add(table)
        if line.startswith(":"):
            name, policy = line[1:].split()[:2]
            if name.startswith(PREFIX):
                chains[table, name] = []
            elif policy != "ACCEPT":
                foreign.add(table)
            continue
        _, name, rule = line.split(" ", 2)
        if name.startswith(PREFIX):
            chains.setdefault((table, name), []).append(rule)
            continue
        base = (table, name)
        firsts.setdefault(base, rule)
        if rule == f"-j {JUMPS.get(base)}":
            jumps[base] = jumps.get(base, 0) + 1
        else:
            foreign.add(table)
    ours = {chain: tuple(rules) for chain, rules in chains.items()}
    return Held(ours, firsts, jumps, frozenset(seen - foreign))


def as_installed(chains: Mapping[Chain, tuple[str, ...]]) -> Held:
    """Return what the kernel holds right after these chains were installed."""
    return Held(chains, {base: f"-j {name}" for base, name in JUMPS.items()}, dict.fromkeys(JUMPS, 1))


def install(wanted: Mapping[Chain, tuple[str, ...]], held: Held, new_tables: Iterable[str]) -> tuple[str, list[str]]:
    """Return the restore input that makes chains and jumps what they should be, and a sentence for each change.

    Chains that are right are not named, so that their counters go on; a chain is replaced as a whole, in the one
    transaction of its table. ``new_tables`` are those that were not there: they get the marker for cleanup.
    """
    said: list[str] = []
    text: list[str] = []
    for table in TABLES:
        differ = {
            name: rules for (of, name), rules in wanted.items() if of == table and held.chains.get((of, name)) != rules
        }
        gone = [name for of, name in held.chains if of == table and (of, name) not in wanted and name != MADE_TABLE]
        markers = [MADE_TABLE] if table in new_tables else []
        moved = [base for base in JUMPS if base[0] == table and not _stands_first(base, held)]
        if not (differ or gone or moved or markers):
            continue
        said += [f"{table} {name}: {'changed' if (table, name) in held.chains else 'made'}." for name in differ]
        said += [f"{table} {name}: removed." for name in gone]
        said += [f"{table} {base[1]}: our jump is the first rule." for base in moved]
        text += [f"*{table}", *(f":{name} - [0:0]" for name in (*markers, *differ, *gone))]
        text += [f"-A {name} {rule}" for name, rules in differ.items() for rule in rules]
        text += [line for base in moved for line in _move_jump(base, held)]
        text += [*(f"-X {name}" for name in gone), "COMMIT"]
    return _text(text), said


def removal(held: Held) -> tuple[str, list[str]]:
    """Return the restore input that removes every chain and jump of ours, and a sentence for each."""
    text: list[str] = []
    said: list[str] = []
    for table in TABLES:
        names = [name for of, name in held.chains if of == table]
        jumps = [(base, count) for base, count in held.jumps.items() if base[0] == table]
        if not (names or jumps):
            continue
        text += [f"*{table}", *(f":{name} - [0:0]" for name in names)]
        text += [f"-D {base[1]} -j {JUMPS[base]}" for base, count in jumps for _ in range(count)]
        text += [*(f"-X {name}" for name in names), "COMMIT"]
        said += [f"{table} {name}: removed." for name in names]
    return _text(text), said


def made_tables(held: Held) -> list[str]:
    """Return the tables that were not there before us and hold nothing of anybody else."""
    return [table for table in TABLES if (table, MADE_TABLE) in held.chains and table in held.empty]


def _stands_first(base: Chain, held: Held) -> bool:
    return held.firsts.get(base) == f"-j {JUMPS[base]}" and held.jumps.get(base) == 1


def _move_jump(base: Chain, held: Held) -> list[str]:
    jump = f"{base[1]} -j {JUMPS[base]}"
    return [*[f"-D {jump}"] * held.jumps.get(base, 0), f"-I {base[1]} 1 -j {JUMPS[base]}"]


def _lines(saved: str) -> Iterator[tuple[str, str]]:
    table = ""
    for line in saved.splitlines():
        if line.startswith("*"):
            table = line[1:]
        elif line.startswith((":", "-A ")):
            yield table, line


def _text(lines: Sequence[str]) -> str:
    return "".join(f"{line}\n" for line in lines)
