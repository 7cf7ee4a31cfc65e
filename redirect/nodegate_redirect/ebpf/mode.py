"""Makes the program's maps, the interfaces' filters, one table of nftables and policy routing hold a plan."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from nodegate_redirect.contract import Place
from nodegate_redirect.ebpf import maps, pins, rules
from nodegate_redirect.ebpf.libbpf import Libbpf, unpin
from nodegate_redirect.errors import KernelError, UnsupportedError
from nodegate_redirect.host import interfaces, netfilter, routing
from nodegate_redirect.host.commands import find
from nodegate_redirect.host.nft import Table, nft
from nodegate_redirect.mode import Applied, Count, added
from nodegate_redirect.nft_chains import open_port
from nodegate_redirect.nft_elements import read_listeners, read_places, read_traffic
from nodegate_redirect.plan import Plan, Targets

_PROGRAM = "redirect"
_SIZES = {
    "places": (maps.PLACE_SIZE, maps.TARGET_SIZE),
    "counts": (maps.PLACE_SIZE, maps.COUNT_SIZE),
    "clients": (maps.CLIENT_SIZE, len(maps.CLIENT)),
}


class EbpfMode:
    """Redirects by eBPF. ``program`` is the object file, ``folder`` where program and maps are pinned.

    A place is closed before it is there, and a map's element changes in place, so every state between is right. A new
    program takes the place of the old one interface by interface, with the same maps.
    """

    name = "ebpf"

    def __init__(self, program: Path, folder: Path = pins.DEFAULT) -> None:
        self._object = program
        self._folder = folder
        self._libbpf = Libbpf()
        self._table = Table(rules.TABLE, rules.body())
        self._targets: Targets | None = None
        self._left: tuple[bytes | int, ...] = ()

    def require(self) -> None:
        """Raise UnsupportedError when nft or the program is missing, KernelError when the kernel does not take it."""
        find("nft", "nftables")
        if not self._object.is_file():
            raise UnsupportedError(
                f"There is no program {self._object}. It is part of nodegate's wheel; in a checkout: make bpf."
            )
        if not self._pin().exists():
            with self._libbpf.loaded(self._object, _PROGRAM, None):
                pins.ensure(self._folder)

    def installed(self) -> Mapping[Place, int]:
        """Return where the program's map sends each place."""
        return {maps.place_of(key): maps.port_of(value) for key, value in self._items("places").items()}

    def apply(self, plan: Plan, *, trust: bool = False) -> Applied:
        """Make the kernel hold the plan; see :class:`nodegate_redirect.mode.Mode`."""
        held = self._targets if trust else None
        if held is not None:
            said = self._change(plan, held)
        else:
            said = [*self.refresh().changes, *self._compare(plan), *self._compare_table(_open_ports(plan.targets))]
            self._targets = plan.targets
        self._left = self._heads()
        return Applied(tuple(said))

    def is_untouched(self) -> bool:
        """Whether the maps are those that were left, and the table's heads; how much is in a map cannot be asked."""
        return self._heads() == self._left

    def refresh(self) -> Applied:
        """Repair policy routing, and attach the program where it is not, as to an interface that is new."""
        return Applied((*routing.ensure(), *self._load()))

    def counters(self) -> Mapping[Place, Count]:
        """Return what was counted for each place; see :class:`nodegate_redirect.mode.Count`."""
        by_program = {maps.place_of(key): maps.count_of(value) for key, value in self._items("counts").items()}
        own = ((place, count) for place, _, count in read_listeners(rules.TABLE))
        return added(added(by_program, own), read_traffic(rules.TABLE))

    def events(self) -> Mapping[str, int]:
        """Return what the program did with packets, by the names of :data:`maps.EVENTS`, on all CPUs together."""
        if not (self._folder / "events").exists():
            return {}
        with self._map("events") as descriptor:
            return self._libbpf.sums(descriptor, maps.EVENTS)

    def cleanup(self, *, shared: bool = True) -> Applied:
        """Remove filters, pins, table, and rule and route, and a clsact that nobody needs any more."""
        said: list[str] = []
        for number, name in interfaces.with_frames().items():
            if self._libbpf.attached(number) is not None:
                self._libbpf.detach(number)
                said.append(f"{name}: the program is removed.")
                interfaces.remove_unused_clsact(number)
        if self._folder.is_dir():
            for path in (*self._folder.glob("program-*"), *(self._folder / name for name in (*_SIZES, "events"))):
                unpin(path)
            if pins.is_empty(self._folder):
                pins.remove(self._folder)
        self._targets = None
        return Applied((*said, *self._table.remove(), *(routing.remove() if shared else ())))

    def _heads(self) -> tuple[bytes | int, ...]:
        pinned = (self._folder / name for name in _SIZES)
        inodes = (path.stat().st_ino if path.exists() else 0 for path in pinned)
        return (*inodes, *netfilter.heads(self._table.questions))

    def _load(self) -> list[str]:
        """Load the program where this one is not there yet, and attach it where it is not attached."""
        pins.ensure(self._folder)
        pinned = self._pin()
        said: list[str] = []
        if not pinned.exists():
            with self._libbpf.loaded(self._object, _PROGRAM, self._folder) as descriptor:
                self._libbpf.pin(descriptor, pinned)
            said.append(f"The program {pinned.name} is loaded.")
        with self._libbpf.opened(pinned) as descriptor:
            number = self._libbpf.program_id(descriptor)
            for interface, name in interfaces.with_frames().items():
                if self._libbpf.attached(interface) != number:
                    self._libbpf.attach(interface, descriptor)
                    said.append(f"{name}: the program is attached.")
        for other in set(self._folder.glob("program-*")) - {pinned}:
            unpin(other)
            said.append(f"The program {other.name} is forgotten.")
        return said

    def _pin(self) -> Path:
        """Return where this very program is pinned."""
        return self._folder / f"program-{hashlib.sha256(self._object.read_bytes()).hexdigest()[:16]}"

    def _change(self, plan: Plan, held: Targets) -> list[str]:
        """Change what differs from what was left behind."""
        new, old = plan.difference(held)
        if not (new or old):
            self._targets = plan.targets
            return []
        with self._maps() as descriptors:
            number = self._write(descriptors, new, _places(old), frozenset(maps.client_keys(old)))
        text = rules.changes(_open_ports(new), _open_ports(old))
        if text:
            nft(text)
        self._targets = plan.targets
        return [f"Maps: {number} changes."]

    def _compare(self, plan: Plan) -> list[str]:
        """Change what differs from what the maps hold."""
        with self._maps() as descriptors:
            held = {name: self._libbpf.items(descriptors[name], *_SIZES[name]) for name in ("places", "clients")}
            number = self._write(descriptors, plan.targets, held["places"], frozenset(held["clients"]))
        return [f"Maps: {number} changes."] if number else []

    def _write(
        self, descriptors: Mapping[str, int], targets: Targets, held: Mapping[bytes, bytes], clients: frozenset[bytes]
    ) -> int:
        """Lead the maps from what they hold to what they should; return the number of changes."""
        update, delete = self._libbpf.update, self._libbpf.delete
        wanted, wanted_clients = _places(targets), frozenset(maps.client_keys(targets))
        changed = [key for key, value in wanted.items() if held.get(key) != value]
        for key in wanted_clients - clients:
            update(descriptors["clients"], key, maps.CLIENT)
        for key in changed:
            update(descriptors["counts"], key, bytes(maps.COUNT_SIZE), only_new=True)
            update(descriptors["places"], key, wanted[key])
        for key in held.keys() - wanted.keys():
            delete(descriptors["places"], key)
            delete(descriptors["counts"], key)
        for key in clients - wanted_clients:
            delete(descriptors["clients"], key)
        return len(changed) + len(held.keys() - wanted.keys()) + len(wanted_clients ^ clients)

    def _compare_table(self, places: Mapping[Place, int]) -> list[str]:
        """Make the table's sets hold the places, those where clients on this node connect to."""
        if not self._table.is_right():
            return self._table.replace(rules.changes(places, {}))
        held = read_places(rules.TABLE)
        text = rules.changes(dict(places.items() - held.items()), dict(held.items() - places.items()))
        if not text:
            return []
        nft(text)
        return ["nftables: the places of clients on this node changed."]

    @contextmanager
    def _maps(self) -> Iterator[dict[str, int]]:
        """Give the descriptors of the maps that the plan is in."""
        with ExitStack() as stack:
            yield {name: stack.enter_context(self._map(name)) for name in _SIZES}

    def _items(self, name: str) -> dict[bytes, bytes]:
        if not (self._folder / name).exists():
            return {}
        with self._map(name) as descriptor:
            return self._libbpf.items(descriptor, *_SIZES[name])

    @contextmanager
    def _map(self, name: str) -> Iterator[int]:
        try:
            with self._libbpf.opened(self._folder / name) as descriptor:
                yield descriptor
        except KernelError as error:
            raise KernelError(f"{error} Was the bpffs unmounted? The next comparison makes it anew.") from error


def _places(targets: Targets) -> dict[bytes, bytes]:
    return {maps.place_key(place): maps.target_value(target) for place, target in targets.items()}


def _open_ports(targets: Targets) -> dict[Place, int]:
    return {place: open_port(target) for place, target in targets.items()}
