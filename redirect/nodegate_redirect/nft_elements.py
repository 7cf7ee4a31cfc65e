"""Reads the maps of nft_chains back from the kernel, with what was counted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from nodegate_redirect.contract import Place
from nodegate_redirect.host.nft import elements
from nodegate_redirect.mode import Count
from nodegate_redirect.nft_chains import FAMILIES
from nodegate_redirect.plan import REFUSED


def read_listeners(table: str) -> Iterator[tuple[Place, int, Count]]:
    """Yield every place of a node's own clients that has a listener, its port, and what was counted."""
    for place, port, count in read_map(table, "listeners"):
        yield place, int(port), count


def read_places(table: str) -> dict[Place, int]:
    """Return every place that clients on this node can be led from, and its port; REFUSED without a listener."""
    keys = (element["concat"] for family in FAMILIES for element in elements("set", table, f"places{family}"))
    ports = {place: port for place, port, _ in read_listeners(table)}
    return {place: ports.get(place, REFUSED) for place in (Place(address, int(port)) for address, port in keys)}


def read_map(table: str, name: str) -> Iterator[tuple[Place, Any, Count]]:
    """Yield each place of a map, ``name`` in both families, what it leads to, and what was counted."""
    for family in FAMILIES:
        for key, value in elements("map", table, f"{name}{family}"):
            counted = key["elem"].get("counter", {}) if "elem" in key else {}
            address, port = (key["elem"]["val"] if "elem" in key else key)["concat"]
            yield Place(address, int(port)), value, Count(connections=counted.get("packets", 0))


def read_traffic(table: str) -> Iterator[tuple[Place, Count]]:
    """Yield what was counted of accepted connections, by the place that each went to."""
    for family in FAMILIES:
        for element in elements("set", table, f"traffic{family}"):
            (address, port), counted = element["elem"]["val"]["concat"], element["elem"]["counter"]
            yield Place(address, int(port)), Count(0, counted["packets"], counted["bytes"])
