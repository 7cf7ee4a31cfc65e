"""What the program needs beside it: one small table of nftables, as text. Pure.

The program has set its mark before any rule is looked at, so ``notrack`` by the mark keeps kube-proxy's translation and
its REJECT away, and answers are told by the mark of the listener's sockets (redirect 11, redirect-facts F5). Clients on
the node itself come in through ``lo``, where the program is as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from nodegate_redirect import nft_chains
from nodegate_redirect.contract import Place
from nodegate_redirect.marks import REFUSE, TO_LISTENER

TABLE = "nodegate-ebpf"


def body() -> str:
    """Return what stands between the braces of the table, whatever is redirected."""
    untracked = nft_chains.chain(
        "untracked",
        "filter hook prerouting priority raw",
        [f"meta mark {TO_LISTENER:#x} notrack accept", f"meta mark {REFUSE:#x} {nft_chains.REFUSE_HERE}"],
    )
    answers = nft_chains.untracked_answers()
    nat = nft_chains.translation()
    return f"{nft_chains.place_sets()}{untracked}{answers}{nft_chains.output()}{nat}"


def changes(new: Mapping[Place, int], gone: Mapping[Place, int]) -> str:
    """Return the commands that remove places with their ports and add others; one transaction."""
    return "".join(f"{line}\n" for line in (*_elements("delete", gone), *_elements("add", new)))


def _elements(verb: str, places: Mapping[Place, int]) -> Iterator[str]:
    for place in sorted(places):
        yield from nft_chains.place_elements(verb, TABLE, place, places[place])
