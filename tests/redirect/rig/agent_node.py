"""A node with an agent and the control plane that it listens to, and what the kernel holds then."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from tests.redirect.rig.agent import PATIENCE, AgentProcess, ControlPlane, agent, control_plane, until
from tests.redirect.rig.kernel import without_traffic
from tests.redirect.rig.sockets import Answer, Connection, ask
from tests.redirect.rig.world import PINS, PLACES, World, world

MODES = ("ebpf", "iptables", "nftables")
_COUNTERS = re.compile(r"\[(\d+):(\d+)\]|packets (\d+) bytes (\d+)")
WORLDS = {"iptables": "iptables-nft"}


@dataclass
class Rules:
    """What the kernel holds, and what it counted."""

    text: str
    counters: list[int]

    def went_on(self, then: Rules) -> bool:
        """Whether these rules are there still, and have counted on: none was made anew."""
        assert then.text == self.text
        return all(later >= before for before, later in zip(self.counters, then.counters, strict=True))


@dataclass
class Node:
    """A node with an agent, and the control plane that it listens to."""

    world: World
    plane: ControlPlane
    mode: str
    folder: Path
    stack: AsyncExitStack
    agent: AgentProcess = field(init=False)

    def start(self, *arguments: str, mode: str = "", wrap: tuple[str, ...] = ()) -> AgentProcess:
        """Start an agent, which keeps its state."""
        more = (f"--state-dir={self.folder / 'state'}", *arguments)
        made = agent(self.world, mode or self.mode, self.plane.socket, self.folder, *more, wrap=wrap)
        self.agent = self.stack.enter_context(made)
        return self.agent

    async def until(self, condition: Callable[[], object], within: float = PATIENCE) -> None:
        """Wait for a condition; the agent's log tells why it never came."""
        await until(condition, self._said, within)

    def _said(self) -> str:
        return self.agent.said()

    async def installed(self, within: float = PATIENCE) -> None:
        """Wait until the agent has acknowledged everything."""
        await self.until(self.plane.is_installed, within)

    async def who(self, family: int = 4, where: str = "client", place: str = "ClusterIP") -> str:
        """Return who answers a new connection, or what happens instead."""
        answer = await asyncio.to_thread(ask, self.world.network, where, *PLACES[place](family))
        return answer.who if isinstance(answer, Answer) else answer

    async def connect(self, family: int = 4, where: str = "client") -> Connection:
        """Return a connection that the listener has answered."""
        made = await asyncio.to_thread(partial(Connection, self.world.network, where, *PLACES["ClusterIP"](family)))
        assert isinstance(made.ask(), Answer)
        return made

    def rules(self) -> Rules:
        """Return all rules with the kernel's numbers for them, and their counters: a rule made anew shows."""
        said = self.world.network.run(
            "node",
            "iptables-nft-save -c; ip6tables-nft-save -c; nft -a list ruleset; ipset save; ip rule; ip -6 rule;"
            "for d in lo eth0 cbr0; do tc filter show dev $d ingress; done",
        )
        said = re.sub(r"^#.*$", "", without_traffic(said), flags=re.MULTILINE)
        counters = [int(number) for found in _COUNTERS.findall(said) for number in found if number]
        return Rules(_COUNTERS.sub("", said), counters)

    def cleanup(self) -> str:
        """Run ``nodegate agent --cleanup`` and return what it says."""
        done = self.run("--cleanup", f"--bpf-folder={PINS}")
        assert done.returncode == 0, done.stderr
        return done.stdout

    def run(self, *arguments: str, wrap: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
        """Run ``nodegate agent`` with these arguments alone, to its end."""
        enter = ["nsenter", f"--net={self.world.network.path('node')}", *wrap]
        command = [*enter, sys.executable, "-m", "nodegate", "agent", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@asynccontextmanager
async def node_of(mode: str, folder: Path) -> AsyncIterator[Node]:
    """Return a node with kube-proxy's rules for the Service and without an agent, and a control plane."""
    async with AsyncExitStack() as stack:
        made = stack.enter_context(world(WORLDS.get(mode, mode), "kube-proxy iptables, endpoints"))
        made.pods()
        plane = await stack.enter_async_context(control_plane(folder / "xds.sock"))
        yield Node(made, plane, mode, folder, stack)


def with_capabilities(some: str = "") -> tuple[str, ...]:
    """Return a command that runs another one as root with no capabilities but these, written as ``,+net_admin``."""
    sets = [f"--{kind}=-all{some}" for kind in ("bounding-set", "inh-caps", "ambient-caps")]
    return ("setpriv", *sets, "--no-new-privs", "--securebits=+noroot,+noroot_locked")
