"""Which mode: the one that was asked for, or the first that works on this machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from nodegate_redirect.ebpf import EbpfMode, pins
from nodegate_redirect.ebpf.program import find_program
from nodegate_redirect.errors import RedirectError, UnsupportedError
from nodegate_redirect.iptables import IptablesMode
from nodegate_redirect.mode import Mode
from nodegate_redirect.nftables import NftablesMode

AUTO = "auto"
NAMES = ("ebpf", "nftables", "iptables")
"""All modes, in the order in which ``auto`` takes them."""
_WHY = {
    "ebpf": "it decides a connection with one lookup, before any rule of the node",
    "nftables": "it decides a connection with one lookup and changes in one transaction",
    "iptables": "every kernel has it",
}


@dataclass(frozen=True, slots=True)
class ModeOptions:
    """How modes are made: ``backend`` of iptables (None: the node's), ``program`` and pins of eBPF (None: our own)."""

    backend: str | None = None
    program: Path | None = None
    pins: Path = pins.DEFAULT


@dataclass(frozen=True, slots=True)
class Choice:
    """The mode that is used, why, and the others that could be made here: they may have left something behind."""

    mode: Mode
    why: str
    others: tuple[Mode, ...]


def choose(name: str, options: ModeOptions) -> Choice:
    """Return the mode of this name, or for ``auto`` the first that the kernel supports.

    Raises UnsupportedError, which says of each mode that was tried what is missing.
    """
    made, missing = _made(options)
    tried = NAMES if name == AUTO else (name,)
    for one in tried:
        if one in made and _works(made[one], missing):
            others = tuple(mode for other, mode in made.items() if other != one)
            return Choice(made[one], _reason(one, name, missing), others)
    raise UnsupportedError(" ".join(f"{one}: {missing[one]}" for one in tried))


def all_modes(options: ModeOptions) -> tuple[Mode, ...]:
    """Return every mode that can be made on this machine."""
    return tuple(_made(options)[0].values())


def _made(options: ModeOptions) -> tuple[dict[str, Mode], dict[str, str]]:
    makers: Mapping[str, Callable[[], Mode]] = {
        "ebpf": lambda: EbpfMode(options.program or find_program(), options.pins),
        "nftables": NftablesMode,
        "iptables": lambda: IptablesMode(options.backend),
    }
    made: dict[str, Mode] = {}
    missing: dict[str, str] = {}
    for name, make in makers.items():
        try:
            made[name] = make()
        except RedirectError as error:
            missing[name] = str(error)
    return made, missing


def _works(mode: Mode, missing: dict[str, str]) -> bool:
    """Whether a mode works here; ``missing`` is told why not."""
    try:
        mode.require()
    except RedirectError as error:
        missing[mode.name] = str(error)
        return False
    return True


def _reason(chosen: str, asked: str, missing: Mapping[str, str]) -> str:
    if asked != AUTO:
        return "It was asked for."
    passed = "".join(f" Not {name}: {missing[name]}" for name in NAMES[: NAMES.index(chosen)])
    return f"{chosen} works here, and {_WHY[chosen]}.{passed}"
