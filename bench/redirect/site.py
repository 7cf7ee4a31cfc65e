"""A node in a network namespace: a listener there, a client in another one, and a mode between them, or none."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import TypeVar

from bench.driver import Process, raise_descriptor_limit
from bench.golang import programs
from bench.redirect.places import WHOLE, Size, redirect
from nodegate_redirect.agent.kernel import Kernel
from nodegate_redirect.contract import Redirect
from nodegate_redirect.ebpf import EbpfMode, pins
from nodegate_redirect.errors import KernelError
from nodegate_redirect.iptables import IptablesMode
from nodegate_redirect.mode import Mode
from nodegate_redirect.nftables import NftablesMode
from tests.redirect.rig.damage import FLUSHES
from tests.redirect.rig.namespaces import Network, network
from tools import bpf

T = TypeVar("T")

PINS = Path(f"/run/nodegate-bench-{os.getpid()}")
DIRECT = "direct"
TRACKED = "tracked"
"""Direct connections on a node with one rule that needs conntrack: every node that kube-proxy runs on has it."""
MODES: Mapping[str, Callable[[], Mode]] = {
    "ebpf": lambda: EbpfMode(bpf.build(), PINS),
    "iptables": IptablesMode,
    "nftables": NftablesMode,
}
_WORKERS = 2
"""Sockets for each port: Envoy has one for each of its workers."""
_PARALLEL = 8
_CHANGES = 20
_LOOKS = 5
_FLUSHES = {
    "ebpf": FLUSHES["ebpf"]["elements"],
    "iptables": FLUSHES["iptables-nft"]["sets"],
    "nftables": FLUSHES["nftables"]["elements"],
}


class Site:
    """One node. ``mode`` is None where connections go to the listeners' own ports and the node has no rule at all."""

    def __init__(self, net: Network, mode: Mode | None) -> None:
        self._network = net
        self._mode = mode
        self._listeners = [self._process("node") for _ in range(_WORKERS)]
        self._client = self._process("client")
        self._ports: set[int] = set()
        self._size = Size(0)
        self._kernel: Kernel | None = None

    def hold(self, size: Size) -> Mapping[str, float]:
        """Make the node hold so many Services instead of those it has; return what that took."""
        new = set(size.ports) - self._ports
        for listener in self._listeners:
            listener.tell("listen", ports=sorted(new))
        self._ports |= new
        self._size = size
        self._client.tell("aim", places=size.listening() if self._mode is None else size.frontends())
        if self._mode is None:
            return {}
        self._inside(self._mode.cleanup)
        self._kernel = Kernel(self._mode)
        wanted = {redirect.name: redirect for redirect in size.redirects()}
        return {"install_ms": self._bring(wanted, compare=True), "compare_ms": self._bring({}, compare=True)}

    def together(self, seconds: float) -> Mapping[str, float]:
        """Open connections for a while, several at a time; return their rate, and what each cost both ends."""
        before = self._cpu_s()
        found = self._client.tell("connect", parallel=_PARALLEL, seconds=seconds)
        return {
            "per_second": found["per_second"],
            "cpu_us": (self._cpu_s() - before) / found["count"] * 1e6,
        }

    def alone(self, seconds: float) -> Mapping[str, float]:
        """Open connections for a while, one at a time; return how long they took."""
        found = self._client.tell("connect", parallel=1, seconds=seconds)
        return {"p50_us": found["p50_us"], "p99_us": found["p99_us"]}

    def change(self) -> Mapping[str, float]:
        """Add a Service and remove it again, several times, as the agent does; return how long a change took."""
        new = redirect(self._size.services, self._size.ports[0])
        changes: list[Mapping[str, Redirect | None]] = [{new.name: new}, {new.name: None}]
        took = [self._bring(change) for _ in range(_CHANGES) for change in changes]
        return {"change_ms": median(took), "change_max_ms": max(took)}

    def flush(self) -> Mapping[str, float]:
        """Let a stranger flush all places; return what a look takes, and what the one takes that repairs it."""
        assert self._mode is not None
        calm = median(self._bring({}, look=True) for _ in range(_LOOKS))
        self._network.run("node", _FLUSHES[self._mode.name])
        return {"look_ms": calm, "repair_ms": self._bring({}, look=True)}

    def end(self) -> None:
        """End the processes and remove what the mode left behind."""
        for process in (self._client, *self._listeners):
            process.quit()
        if self._mode is not None:
            self._inside(self._mode.cleanup)

    def _cpu_s(self) -> float:
        """Return what both ends have used so far, and with them the kernel on their behalf."""
        return sum(float(process.tell("cpu")["seconds"]) for process in (self._client, *self._listeners))

    def _bring(self, news: Mapping[str, Redirect | None], *, look: bool = False, compare: bool = False) -> float:
        """Return the milliseconds from what the agent is told to what the kernel holds."""
        kernel = self._kernel
        assert kernel is not None

        def bring() -> float:
            began = time.perf_counter()
            outcome = kernel.bring(news, look=look, compare=compare)
            took = time.perf_counter() - began
            if outcome.error:
                raise KernelError(outcome.error)
            return took * 1e3

        return self._inside(bring)

    def _inside(self, do: Callable[[], T]) -> T:
        return self._network.inside("node", do)

    def _process(self, where: str) -> Process:
        return Process(["nsenter", f"--net={self._network.path(where)}", str(programs() / "connections")])


@contextmanager
def sites(modes: list[str]) -> Iterator[Mapping[str, Site]]:
    """Build a node for each mode and one without any, and remove them at the end."""
    raise_descriptor_limit()
    with ExitStack() as stack:
        stack.callback(pins.remove, PINS)
        made: dict[str, Site] = {}
        for name in (DIRECT, *modes):
            net = stack.enter_context(network())
            if name not in MODES:
                net.run("node", f"ip addr add {WHOLE} dev lo")  # every address of a Service is the node's own
            if name == TRACKED:
                net.run("node", "iptables -A INPUT -m conntrack --ctstate INVALID -j DROP")
            made[name] = Site(net, net.inside("node", MODES[name]) if name in MODES else None)
            stack.callback(made[name].end)
        yield made
