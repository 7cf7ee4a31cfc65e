"""The ipsets: which places are redirected where, and who may connect. Pure.

``frontends`` (hash:ip,port, skbinfo) gives each place the mark of its listener and counts first packets;
``restricted`` names the places that are not open to everybody, and ``allowed`` (hash:ip,port,net) who may connect to
those. ``traffic`` has all places once more, for counting the packets of accepted connections.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from ipaddress import ip_network
from typing import NamedTuple

from nodegate_redirect.contract import Place
from nodegate_redirect.marks import REFUSE, mark_of, port_of
from nodegate_redirect.mode import Count
from nodegate_redirect.plan import REFUSED, Target


class SetNames(NamedTuple):
    """The names of one family's sets."""

    frontends: str
    restricted: str
    allowed: str
    traffic: str


def set_names(family: int) -> SetNames:
    """Return the names of the sets of one family, 4 or 6."""
    return SetNames(
        f"nodegate{family}", f"nodegate{family}-restricted", f"nodegate{family}-allowed", f"nodegate{family}-traffic"
    )


def create(family: int) -> list[str]:
    """Return the commands of ``ipset restore -exist`` that make sure the family's sets exist."""
    names, inet = set_names(family), "inet6" if family == 6 else "inet"
    size = f"family {inet} maxelem {1 << 20}"
    return [
        f"create {names.frontends} hash:ip,port {size} counters skbinfo",
        f"create {names.restricted} hash:ip,port {size}",
        f"create {names.allowed} hash:ip,port,net {size}",
        f"create {names.traffic} hash:ip,port {size} counters",
    ]


class Elements(NamedTuple):
    """What the three sets hold: place -> mark, and the elements of the other two as ``ipset`` writes them."""

    marks: Mapping[Place, int]
    restricted: frozenset[str]
    allowed: frozenset[str]


def elements(targets: Mapping[Place, Target], family: int) -> Elements:
    """Return what one family's sets should hold."""
    ours = {place: target for place, target in targets.items() if place.family == family}
    closed = {place: target.ranges for place, target in ours.items() if target.ranges is not None}
    return Elements(
        {place: _mark(target.port) for place, target in ours.items()},
        frozenset(_element(place) for place in closed),
        frozenset(
            f"{_element(place)},{network}" for place, ranges in closed.items() for network in _networks(ranges, family)
        ),
    )


def difference(family: int, wanted: Elements, held: Elements) -> list[str]:
    """Return the commands that make the sets what they should be. Nothing that is right is touched.

    A place is closed before it is open to more clients than it should be, and a mark changes in place.
    """
    names = set_names(family)
    lines = [f"add {names.allowed} {element}" for element in sorted(wanted.allowed - held.allowed)]
    lines += [f"add {names.restricted} {element}" for element in sorted(wanted.restricted - held.restricted)]
    lines += count(family, wanted.marks.keys() - held.marks.keys())
    lines += [
        f"add {names.frontends} {_element(place)} skbmark {mark:#x}/0xffffffff"
        for place, mark in wanted.marks.items()
        if held.marks.get(place) != mark
    ]
    gone = held.marks.keys() - wanted.marks.keys()
    lines += [f"del {names.frontends} {_element(place)}" for place in sorted(gone)]
    lines += [f"del {names.traffic} {_element(place)}" for place in sorted(gone)]
    lines += [f"del {names.restricted} {element}" for element in sorted(held.restricted - wanted.restricted)]
    return lines + [f"del {names.allowed} {element}" for element in sorted(held.allowed - wanted.allowed)]


def count(family: int, places: Iterable[Place]) -> list[str]:
    """Return the commands that begin to count the packets of places."""
    return [f"add {set_names(family).traffic} {_element(place)}" for place in sorted(places)]


def parse(saved: str, family: int) -> tuple[Elements, dict[Place, Count]] | None:
    """Return what the sets hold according to ``ipset save``, and what was counted; None when one is missing.

    ``traffic`` may be missing: it tells nothing but counts.
    """
    names = set_names(family)
    created: set[str] = set()
    marks: dict[Place, int] = {}
    counts: dict[Place, Count] = {}
    others: dict[str, set[str]] = {names.restricted: set(), names.allowed: set()}
    for words in (line.split() for line in saved.splitlines()):
        if len(words) < 3:
            continue
        if words[0] == "create":
            created.add(words[1])
        elif words[0] == "add" and words[1] in {names.frontends, names.traffic}:
            place, options = _place(words[2]), dict(zip(words[3::2], words[4::2], strict=False))
            packets, octets = int(options.get("packets", "0")), int(options.get("bytes", "0"))
            before = counts.get(place, Count())
            if words[1] == names.traffic:
                counts[place] = before._replace(packets=packets, bytes=octets)
            else:
                marks[place] = int(options.get("skbmark", "0").partition("/")[0], 16)
                counts[place] = before._replace(connections=packets)
        elif words[0] == "add" and words[1] in others:
            others[words[1]].add(words[2])
    if not created.issuperset(names[:-1]):
        return None
    return Elements(marks, frozenset(others[names.restricted]), frozenset(others[names.allowed])), counts


def ports(marks: Iterable[tuple[Place, int]]) -> dict[Place, int]:
    """Return where each place goes: a listener's port, or REFUSED."""
    return {place: port_of(mark) for place, mark in marks}


def _mark(port: int) -> int:
    return REFUSE if port == REFUSED else mark_of(port)


def _element(place: Place) -> str:
    return f"{place.address},tcp:{place.port}"


def _place(element: str) -> Place:
    address, _, port = element.partition(",tcp:")
    return Place(address, int(port))


def _networks(ranges: Iterable[str], family: int) -> Iterator[str]:
    """Yield the ranges of one family as ipset stores them: without host bits, and 'everybody' in two halves."""
    for network in (ip_network(text) for text in ranges):
        if network.version != family:
            continue
        for part in network.subnets() if network.prefixlen == 0 else (network,):
            yield str(part.network_address) if part.prefixlen == part.max_prefixlen else str(part)
