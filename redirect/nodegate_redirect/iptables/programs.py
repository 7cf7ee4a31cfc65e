"""The programs of iptables: which backend this node uses, and one call for each thing we ask of them."""

from __future__ import annotations

import time
from dataclasses import dataclass

from nodegate_redirect.errors import KernelError, RedirectError, UnsupportedError
from nodegate_redirect.host.commands import find, run

BACKENDS = ("nft", "legacy")
_WAIT_SECONDS = "10"
_FORGET_SECONDS, _FORGET_INTERVAL = 5.0, 0.01
_FAMILY_NAMES = {4: "ip", 6: "ip6"}


@dataclass(frozen=True, slots=True)
class Programs:
    """The programs of one backend of iptables, ``nft`` or ``legacy``, and those of ipset."""

    backend: str

    def are_there(self) -> bool:
        """Say whether this machine has the programs of this backend; newer ones have no ``legacy`` any more."""
        try:
            for family in _FAMILY_NAMES:
                for what in ("save", "restore"):
                    _program(family, self.backend, what)
        except UnsupportedError:
            return False
        return True

    def restore(self, family: int, text: str, *, test: bool = False) -> None:
        """Change rules: all of a table at once, the others untouched, waiting for the lock of other programs.

        With ``test`` nothing changes: it only shows whether it would work.
        """
        wait = ["--wait", _WAIT_SECONDS] if self.backend == "legacy" else []
        run([_program(family, self.backend, "restore"), "--noflush", *wait, *(["--test"] if test else [])], text)

    def save(self, family: int) -> str:
        """Return all rules of a family."""
        return run([_program(family, self.backend, "save")])

    def counted(self, family: int, chain: tuple[str, str], target: str) -> int:
        """Return how many packets the rules of a chain (its table and name) with a target counted."""
        table, name = chain
        program = find(f"{_FAMILY_NAMES[family]}tables-{self.backend}", "iptables")
        wait = ["--wait", _WAIT_SECONDS] if self.backend == "legacy" else []
        try:
            said = run([program, *wait, "-t", table, "-nvxL", name])
        except KernelError:  # there is no such chain yet
            return 0
        rules = (line.split() for line in said.splitlines()[2:])
        return sum(int(words[0]) for words in rules if words[2] == target)

    def tables(self, family: int) -> set[str]:
        """Return the tables that are there, without making any."""
        if self.backend == "legacy":
            return {line[1:] for line in self.save(family).splitlines() if line.startswith("*")}
        listed = (line.split() for line in run([find("nft", "nftables"), "list", "tables"]).splitlines())
        return {words[2] for words in listed if words[1] == _FAMILY_NAMES[family]}

    def remove_table(self, family: int, table: str) -> None:
        """Remove a table that holds nothing. In the legacy backend tables belong to the kernel: nothing to do."""
        if self.backend == "nft":
            run([find("nft", "nftables"), "delete", "table", _FAMILY_NAMES[family], table])


def change_sets(lines: list[str]) -> None:
    """Run commands of ipset in order. What is there already, or gone already, is no error."""
    if lines:
        run([find("ipset", "ipset"), "restore", "-exist"], "".join(f"{line}\n" for line in lines))


def destroy_set(name: str) -> None:
    """Remove a set that no rule names any more.

    The kernel forgets a deleted rule of nf_tables a moment after it says so, and until then its set is in use.
    """
    deadline = time.monotonic() + _FORGET_SECONDS
    while True:
        try:
            run([find("ipset", "ipset"), "destroy", name])
        except KernelError:
            if time.monotonic() > deadline:
                raise
            time.sleep(_FORGET_INTERVAL)
        else:
            return


def saved_sets(names: tuple[str, ...]) -> str:
    """Return those of the sets that exist, as ``ipset save`` shows them."""
    ipset = find("ipset", "ipset")
    existing = set(run([ipset, "list", "-name"]).split())
    return "".join(run([ipset, "save", name]) for name in names if name in existing)


def set_size(name: str) -> int:
    """Return how many elements a set has, without reading them; 0 where there is no such set."""
    try:
        said = run([find("ipset", "ipset"), "list", "-terse", name])
    except KernelError:
        return 0
    return int(said.rpartition("Number of entries:")[2])


def detect_backend() -> str:
    """Return the backend that the rest of the node uses: the one whose chains kubelet or kube-proxy made.

    The rules of iptables' own wrapper: kubelet's hint chain first, then who has more rules; ``nft`` when nothing is
    there at all.
    """
    rules = {}
    for backend in BACKENDS:
        try:
            rules[backend] = run([_program(4, backend, "save"), "-t", "mangle"]) if backend == "nft" else _legacy()
        except RedirectError:  # the kernel or the machine has no such backend
            rules[backend] = ""
    for backend in BACKENDS:
        if ":KUBE-IPTABLES-HINT" in rules[backend] or ":KUBE-KUBELET-CANARY" in rules[backend]:
            return backend
    return "legacy" if rules["legacy"].count("-A ") > rules["nft"].count("-A ") else "nft"


def _legacy() -> str:
    return run([_program(4, "legacy", "save")])


def _program(family: int, backend: str, what: str) -> str:
    return find(f"{_FAMILY_NAMES[family]}tables-{backend}-{what}", "iptables")
