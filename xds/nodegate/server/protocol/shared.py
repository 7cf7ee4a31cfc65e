"""Updates that many streams get alike, made once per target.

A stream in sync differs from the next one in its nonce only. So when a target comes, what leads from the mapping that
both share to the new one is worked out by the first of them: the resources, their bytes, the digest. The others
write the same bytes, and acknowledge by taking over a reference. 1,000 changed clusters on 500 streams are decided
once, not 500,000 times; what a stream does otherwise (``planning``) gives the same bytes, name by name.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from msgspec import Struct

from nodegate.server.protocol.ledger import EMPTY
from nodegate.server.protocol.request import InitialVersions
from nodegate.server.protocol.response import Framing
from nodegate.snapshot.facts import NodeFacts
from nodegate.snapshot.resource import Entry, Faceted, Resource
from nodegate.snapshot.target import Target
from nodegate.snapshot.type_urls import ENDPOINT, ROUTE

_SMALL = 1_000_000
"""Bytes of an update that are kept joined, for all streams that get it."""


class SharedUpdate(Struct, frozen=True):
    """What leads a client from what it holds to the target.

    ``base`` and ``mapping`` say from what to what, of the target with this ``serial``, where the client holds all of
    them by reference; they are None where one name is all that the update is about (``update_of_one``). ``parts`` make
    its bytes when they are joined; ``digest`` is what the update adds to the digest of the set. ``gated``: some of it
    may have to wait on some streams, so each has to ask (``ordering``).
    """

    sent: Mapping[str, Resource]
    parts: Sequence[bytes]
    digest: int
    gated: bool
    base: Mapping[str, Entry] | None = None
    mapping: Mapping[str, Entry] | None = None
    serial: int = 0


class Reader(Struct, frozen=True):
    """For whom an update is made: equal readers get the same bytes.

    ``whole_set``: every response carries all resources of the type (16).
    """

    type_url: str
    framing: Framing
    whole_set: bool


def shared_update(
    target: Target, reader: Reader, base: Mapping[str, Entry], serial: int, facts: NodeFacts
) -> SharedUpdate | None:
    """Return what leads from ``base``, of the target with this serial, to the target; None when something goes.

    What has to go waits for other types, so each stream decides on it for itself.
    """
    changed = _changed(target, reader, base, serial)
    if changed is None:
        return None
    touched = target.of_type(reader.type_url) if reader.whole_set else changed
    since = None if base is EMPTY else serial
    key = ("update", reader, since, _facets(target, reader, since, touched, facts))
    if key not in target.memo:
        target.memo[key] = _make(target, reader, base, changed, facts)
    made: SharedUpdate | None = target.memo[key]
    return made


def update_of_one(target: Target, framing: Framing, want: Resource, held: Resource | None) -> SharedUpdate:
    """Return what leads a client that holds this, or nothing, to what it wants of a name, and to nothing else."""
    key = ("one", framing, want, held)
    if key not in target.memo:
        digest = want.digest - (held.digest if held is not None else 0)
        gated = want.type_url == ROUTE or (want.type_url == ENDPOINT and want.empty)
        target.memo[key] = SharedUpdate({want.name: want}, (framing.entry(want),), digest, gated)
    made: SharedUpdate = target.memo[key]
    return made


@dataclass(frozen=True, slots=True)
class Whole:
    """What a client should hold of a type: the versions as it would report them, and the sum of the digests."""

    versions: InitialVersions
    digest: int


def whole_type(target: Target, type_url: str, facts: NodeFacts) -> Whole:
    """Return what a client with these facts should hold when it takes all resources of a type."""
    mapping = target.of_type(type_url)
    key = ("whole", type_url, _facet_values(mapping.values(), target, ("functions", type_url), facts))
    if key not in target.memo:
        resources = [entry.resolve(facts) for entry in mapping.values()]
        versions = {resource.name: resource.version for resource in resources}
        target.memo[key] = Whole(InitialVersions.of(versions), sum(resource.digest for resource in resources))
    made: Whole = target.memo[key]
    return made


def _changed(target: Target, reader: Reader, base: Mapping[str, Entry], serial: int) -> Iterable[str] | None:
    mapping = target.of_type(reader.type_url)
    if base is EMPTY:
        return mapping
    changed = target.changed_since(serial)
    return None if changed is None else changed.get(reader.type_url, frozenset())


def _facets(target: Target, reader: Reader, since: int | None, names: Iterable[str], facts: NodeFacts) -> Hashable:
    mapping = target.of_type(reader.type_url)
    entries = (mapping[name] for name in names if name in mapping)
    return _facet_values(entries, target, ("functions", reader, since), facts)


def _facet_values(entries: Iterable[Entry], target: Target, key: Hashable, facts: NodeFacts) -> Hashable:
    """Return what of the facts matters to any of these entries. Which facets there are is found out once."""
    functions: tuple[Callable[[NodeFacts], Hashable], ...] | None = target.memo.get(key)
    if functions is None:
        functions = tuple({entry.facet_of: None for entry in entries if isinstance(entry, Faceted)})
        target.memo[key] = functions
    return tuple(function(facts) for function in functions)


def _make(
    target: Target, reader: Reader, base: Mapping[str, Entry], changed: Iterable[str], facts: NodeFacts
) -> SharedUpdate | None:
    mapping = target.of_type(reader.type_url)
    sent: dict[str, Resource] = {}
    digest = 0
    for name in sorted(changed):
        entry, before = mapping.get(name), base.get(name)
        old = before.resolve(facts) if before is not None else None
        if entry is None:
            if old is not None:
                return None
            continue
        new = entry.resolve(facts)
        if old is None or old.version != new.version:
            sent[name] = new
            digest += new.digest - (old.digest if old else 0)
    carried = list(sent.values())
    if reader.whole_set and sent:
        carried += (base[name].resolve(facts) for name in sorted(base.keys() - sent.keys()))
    gated = reader.type_url == ROUTE or (
        reader.type_url == ENDPOINT and base is not EMPTY and any(one.empty for one in sent.values())
    )
    parts = _joined_if_small(list(map(reader.framing.entry, carried)))
    return SharedUpdate(sent, parts, digest, gated, base, mapping, target.serial)


def _joined_if_small(entries: list[bytes]) -> Sequence[bytes]:
    """Return entries as one part, unless they are large.

    An update is kept as long as its target. For a client without anything that is all there is: 29 MB for 10,000
    Services with dedicated listeners, beside the very same bytes in the resources. What it costs not to keep them is
    10 us for each stream and 1,000 entries.
    """
    return (b"".join(entries),) if sum(map(len, entries)) <= _SMALL else entries
