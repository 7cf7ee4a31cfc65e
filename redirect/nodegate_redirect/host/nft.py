"""Tables of nftables that are ours as a whole: put there, compared, repaired and removed."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

from nodegate_redirect.errors import KernelError
from nodegate_redirect.host import netfilter
from nodegate_redirect.host.commands import find, run

_PACKAGE = "nftables"
_INET = "inet"


def nft(text: str) -> None:
    """Run commands of nft as one transaction."""
    run([find("nft", _PACKAGE), "-f", "-"], text)


def check(text: str) -> None:
    """Let the kernel say whether it would take commands; nothing changes. Raises KernelError when it would not."""
    run([find("nft", _PACKAGE), "--check", "-f", "-"], text)


def elements(kind: str, table: str, name: str) -> list[Any]:
    """Return the elements of a ``map`` or a ``set`` as nft writes them in JSON; none where there is no such thing."""
    try:
        said = run([find("nft", _PACKAGE), "--json", "list", kind, "inet", table, name])
    except KernelError:
        return []
    return [element for item in json.loads(said)["nftables"] for element in item.get(kind, {}).get("elem", ())]


def counted(table: str, chain: str) -> dict[str, int]:
    """Return how many packets the rules of a chain counted, by what they did with them: ``drop`` or ``reject``."""
    try:
        said = run([find("nft", _PACKAGE), "--json", "list", "chain", "inet", table, chain])
    except KernelError:
        return {}
    found: dict[str, int] = {}
    for item in json.loads(said)["nftables"]:
        parts = {kind: value for part in item.get("rule", {}).get("expr", ()) for kind, value in part.items()}
        for verdict in ("drop", "reject"):
            if verdict in parts and "counter" in parts:
                found[verdict] = found.get(verdict, 0) + parts["counter"]["packets"]
    return found


class Table:
    """One table ``inet NAME``; ``body`` is what stands between its braces. ``questions`` are those for all its heads.

    All but those of dynamic sets, into which the kernel itself puts elements.

    Chains whose name matches the regular expression ``passing`` come and go, and are not looked at.

    nft prints rules in a form that depends on its version, so the table carries the hash of what it was made from as
    the name of an empty chain, and what it looked like when it was made is remembered for as long as we run.
    """

    def __init__(self, name: str, body: str, passing: str = r"(?!)") -> None:
        self._name = name
        self._body = body
        self._version = f"version-{hashlib.sha256(body.encode()).hexdigest()[:16]}"
        parts = {"chain": netfilter.chain, "map": netfilter.elements, "set": netfilter.elements}
        named = re.findall(r"^ (chain|map|set) (\S+) (?!.*dynamic)", body, re.MULTILINE)
        self.questions = (netfilter.table(_INET, name), *(parts[kind](_INET, name, one) for kind, one in named))
        self._passing = re.compile(rf"^\tchain (?:{passing}) {{.*?^\t}}\n", re.MULTILINE | re.DOTALL)
        self._seen: str | None = None

    def is_right(self) -> bool:
        """Whether the kernel's table is the one that was made from the body, and nobody changed it since."""
        listed = self._listed()
        if f"chain {self._version} " not in listed:
            return False
        if self._seen is None:
            self._seen = listed
        return listed == self._seen

    def ensure(self) -> list[str]:
        """Put the table there where it is not right, and say what was done."""
        return [] if self.is_right() else self.replace()

    def replace(self, more: str = "") -> list[str]:
        """Put the table there, instead of the one that may be there, in one transaction with ``more``."""
        made = f"table inet {self._name} {{\n chain {self._version} {{ }}\n{self._body}}}\n"
        nft(f"table inet {self._name} {{ }}\ndelete table inet {self._name}\n{made}{more}")
        self._seen = self._listed()
        return [f"nftables table inet {self._name}: made."]

    def remove(self) -> list[str]:
        """Remove the table where there is one."""
        if not self._listed():
            return []
        nft(f"delete table inet {self._name}\n")
        self._seen = None
        return [f"nftables table inet {self._name}: removed."]

    def _listed(self) -> str:
        """Return the table without its counters and without the elements of its maps; nothing where there is none."""
        try:
            said = run([find("nft", _PACKAGE), "--stateless", "--terse", "list", "table", "inet", self._name])
        except KernelError:
            return ""
        return re.sub(r"\n+", "\n", self._passing.sub("", said))
