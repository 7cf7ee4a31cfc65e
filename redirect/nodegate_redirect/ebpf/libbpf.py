"""What we use of libbpf, through ctypes: load an object, its maps, pins, and clsact (bpf/libbpf.h, 1.0 and newer).

Every error is a KernelError with libbpf's own words; where the verifier refused the program, its log is among them.
"""

from __future__ import annotations

import ctypes as c
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from nodegate_redirect.errors import KernelError, UnsupportedError

_LIBRARY = "libbpf.so.1"
_INGRESS = 1
_REPLACE = 1  # BPF_TC_F_REPLACE
_SHOWN_LINES = 40

HANDLE, PRIORITY = 0x4E47, 100
"""Which filter of an interface is ours. Filters with a smaller priority see packets before it."""

_Print = c.CFUNCTYPE(c.c_int, c.c_int, c.c_char_p, c.c_void_p)


class _Hook(c.Structure):
    """``struct bpf_tc_hook``."""

    _fields_ = (("sz", c.c_size_t), ("ifindex", c.c_int), ("attach_point", c.c_int), ("parent", c.c_uint32))


class _Options(c.Structure):
    """``struct bpf_tc_opts``."""

    _fields_ = (
        ("sz", c.c_size_t),
        ("prog_fd", c.c_int),
        ("flags", c.c_uint32),
        ("prog_id", c.c_uint32),
        ("handle", c.c_uint32),
        ("priority", c.c_uint32),
    )


class Libbpf:
    """The library. Raises UnsupportedError where there is none."""

    def __init__(self) -> None:
        try:
            self._lib = c.CDLL(_LIBRARY, use_errno=True)
        except OSError as error:
            raise UnsupportedError(f"There is no {_LIBRARY} here. Install it (Debian: libbpf1).") from error
        self._libc = c.CDLL(None)
        self._said: list[str] = []
        self._print = _Print(self._note)
        self._lib.libbpf_set_print.restype = c.c_void_p
        self._lib.libbpf_set_print(self._print)
        for name in ("bpf_object__open_file", "bpf_object__next_map", "bpf_object__find_program_by_name"):
            getattr(self._lib, name).restype = c.c_void_p
        self._lib.bpf_map__name.restype = c.c_char_p

    @contextmanager
    def loaded(self, path: Path, program: str, pins: Path | None) -> Iterator[int]:
        """Load an object and give the descriptor of its program; its maps are those pinned in a folder, or are made.

        Without a folder nothing stays of it: whether the kernel takes it is all that shows.
        """
        self._said.clear()
        opened = c.c_void_p(self._lib.bpf_object__open_file(os.fsencode(path), None))
        if opened.value is None:
            raise self._error(f"The program {path.name} cannot be read")
        try:
            if pins is not None:
                self._pin_maps(opened, pins)
            if self._lib.bpf_object__load(opened) < 0:
                raise self._error(f"The kernel does not take the program {path.name}")
            found = c.c_void_p(self._lib.bpf_object__find_program_by_name(opened, program.encode()))
            yield int(self._lib.bpf_program__fd(found))
        finally:
            self._lib.bpf_object__close(opened)

    def pin(self, descriptor: int, path: Path) -> None:
        """Keep an object alive under a name in a bpffs."""
        self._check(self._lib.bpf_obj_pin(descriptor, os.fsencode(path)), f"{path} cannot be pinned")

    @contextmanager
    def opened(self, path: Path) -> Iterator[int]:
        """Give the descriptor of a pinned object."""
        descriptor = self._lib.bpf_obj_get(os.fsencode(path))
        self._check(descriptor, f"{path} cannot be opened")
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def program_id(self, descriptor: int) -> int:
        """Return the kernel's number of a program (``struct bpf_prog_info``: type, id)."""
        info = (c.c_uint32 * 64)()
        size = c.c_uint32(c.sizeof(info))
        self._check(self._lib.bpf_obj_get_info_by_fd(descriptor, info, c.byref(size)), "a program says nothing")
        return int(info[1])

    def update(self, descriptor: int, key: bytes, value: bytes, *, only_new: bool = False) -> None:
        """Set an element of a map; with ``only_new`` one that is there stays as it is."""
        result = self._lib.bpf_map_update_elem(descriptor, key, value, c.c_uint64(int(only_new)))
        if result < 0 and not only_new:
            raise self._error("An element of a map cannot be set")

    def delete(self, descriptor: int, key: bytes) -> None:
        """Remove an element of a map, if it is there."""
        self._lib.bpf_map_delete_elem(descriptor, key)

    def items(self, descriptor: int, key_size: int, value_size: int) -> dict[bytes, bytes]:
        """Return all elements of a map."""
        found = {}
        key, following, value = None, c.create_string_buffer(key_size), c.create_string_buffer(value_size)
        while self._lib.bpf_map_get_next_key(descriptor, key, following) == 0:
            key = c.create_string_buffer(following.raw, key_size)
            if self._lib.bpf_map_lookup_elem(descriptor, key, value) == 0:
                found[key.raw] = value.raw
        return found

    def sums(self, descriptor: int, names: Sequence[str]) -> dict[str, int]:
        """Return the elements of an array of 64-bit counters for each CPU, added up, under the names in its order."""
        values = (c.c_uint64 * self._lib.libbpf_num_possible_cpus())()
        found = {}
        for number, name in enumerate(names):
            key = number.to_bytes(4, sys.byteorder)
            self._check(self._lib.bpf_map_lookup_elem(descriptor, key, values), "A counter cannot be read")
            found[name] = sum(values)
        return found

    def attached(self, interface: int) -> int | None:
        """Return the number of the program that is our filter on an interface; None where there is no such filter."""
        options = _options()
        if self._lib.bpf_tc_query(c.byref(_hook(interface)), c.byref(options)) < 0:
            return None
        return int(options.prog_id)

    def attach(self, interface: int, program: int) -> None:
        """Make a program our filter on an interface, in place of the one that is there."""
        hook, options = _hook(interface), _options()
        self._lib.bpf_tc_hook_create(c.byref(hook))  # what is there already is no harm; what fails shows below
        options.prog_fd, options.flags = program, _REPLACE
        result = self._lib.bpf_tc_attach(c.byref(hook), c.byref(options))
        self._check(result, f"Interface {interface} does not take the program")

    def detach(self, interface: int) -> None:
        """Remove our filter from an interface."""
        result = self._lib.bpf_tc_detach(c.byref(_hook(interface)), c.byref(_options()))
        self._check(result, f"Interface {interface} does not let go of the program")

    def _pin_maps(self, opened: c.c_void_p, pins: Path) -> None:
        found = c.c_void_p(self._lib.bpf_object__next_map(opened, None))
        while found.value is not None:
            name = self._lib.bpf_map__name(found).decode()
            if not name.startswith("."):
                self._lib.bpf_map__set_pin_path(found, os.fsencode(pins / name))
            found = c.c_void_p(self._lib.bpf_object__next_map(opened, found))

    def _note(self, level: int, form: bytes, arguments: int) -> int:
        """Keep a line that libbpf says; level 2 is for its own developers."""
        if level < 2:
            line = c.create_string_buffer(1 << 16)
            self._libc.vsnprintf(line, c.c_size_t(len(line)), form, c.c_void_p(arguments))
            self._said.append(line.value.decode(errors="replace"))
        return 0

    def _check(self, result: int, what: str) -> None:
        if result < 0:
            raise self._error(what)

    def _error(self, what: str) -> KernelError:
        reason = os.strerror(c.get_errno())
        lines = "".join(self._said).splitlines()[-_SHOWN_LINES:]
        self._said.clear()
        return KernelError("\n".join([f"{what}: {reason}.", *lines]))


def _hook(interface: int) -> _Hook:
    return _Hook(c.sizeof(_Hook), interface, _INGRESS, 0)


def _options() -> _Options:
    return _Options(c.sizeof(_Options), 0, 0, 0, HANDLE, PRIORITY)


def unpin(path: Path) -> None:
    """Remove a name from a bpffs."""
    with suppress(FileNotFoundError):
        path.unlink()
