"""What a mode is: one way to make the kernel send frontends to listeners. Each is a folder of its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from operator import add
from typing import NamedTuple, Protocol

from nodegate_redirect.contract import Place
from nodegate_redirect.plan import Plan


class Count(NamedTuple):
    """What the kernel counted for one place.

    ``connections`` are first packets, ``packets`` and ``bytes`` what clients sent on connections that a listener has.
    """

    connections: int = 0
    packets: int = 0
    bytes: int = 0


def added(counts: Mapping[Place, Count], more: Iterable[tuple[Place, Count]]) -> dict[Place, Count]:
    """Return the sums of what was counted for each place in two places of the kernel."""
    sums = dict(counts)
    for place, count in more:
        sums[place] = Count(*map(add, sums.get(place, Count()), count))
    return sums


@dataclass(frozen=True, slots=True)
class Applied:
    """What one application did: a sentence for each change that was necessary, nothing when all was right."""

    changes: tuple[str, ...] = ()


class Mode(Protocol):
    """One way to redirect. Everything here blocks for milliseconds and raises KernelError when the kernel refuses."""

    name: str

    def require(self) -> None:
        """Raise UnsupportedError when this machine lacks something the mode needs, saying what and how to get it."""

    def installed(self) -> Mapping[Place, int]:
        """Return where the kernel sends each place: a listener's port, or REFUSED."""

    def apply(self, plan: Plan, *, trust: bool = False) -> Applied:
        """Make the kernel hold the plan, changing only what differs.

        With ``trust`` the difference is to what the last application left behind; otherwise to what the kernel holds,
        so that what a stranger flushed or moved is repaired. Connections that exist are never cut.
        """

    def is_untouched(self) -> bool:
        """Whether the kernel's heads (``host.netfilter``) are those of the last application: at any size a millisecond.

        A flush shows, and whatever makes anything of ours more or less or another one. What only changes places with
        its neighbour, or its content, shows when an application compares.
        """

    def refresh(self) -> Applied:
        """Repair what follows from the node alone, its interfaces and routes: cheap, and no plan is needed."""

    def counters(self) -> Mapping[Place, Count]:
        """Return what the kernel counted for each place since it was put there.

        Of pods behind a bridge whose frames pass through iptables, the connections only, but in eBPF mode.
        """

    def events(self) -> Mapping[str, int]:
        """Return what else the kernel counted, by name: ``refused`` and ``forbidden`` at least, in packets."""

    def cleanup(self, *, shared: bool = True) -> Applied:
        """Remove everything this mode ever put into the kernel, and nothing else.

        Without ``shared`` what all modes have in common stays, the policy routing: another mode goes on with it.
        """
