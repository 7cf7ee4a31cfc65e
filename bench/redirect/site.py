"""A node in a network namespace: a listener there, a client in another one, and a mode between them, or none."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench.driver import Process, raise_descriptor_limit
from bench.golang import programs
from bench.redirect.places import NODE, Size, redirect
from nodegate_redirect.contract import Redirect
from nodegate_redirect.ebpf import EbpfMode, pins
from nodegate_redirect.iptables import IptablesMode
from nodegate_redirect.mode import Mode
from nodegate_redirect.nftables import NftablesMode
from nodegate_redirect.plan import Node, Plan, make_plan
from tests.redirect.rig.namespaces import Network, network
from tools import bpf

PINS = Path(f"/run/nodegate-bench-{os.getpid()}")
DIRECT = "direct"
TRACKED = "direct, tracked"
"""Direct connections on a node with one rule that needs conntrack: every node that kube-proxy runs on has it."""
MODES: Mapping[str, Callable[[], Mode]] = {
    "ebpf": lambda: EbpfMode(bpf.build(), PINS),
    "iptables": IptablesMode,
    "nftables": NftablesMode,
}
_WORKERS = 2
"""Sockets for each port: Envoy has one for each of its workers."""
_PARALLEL = 4
_SECONDS = 0.75
_CHANGES = 20


class Site:
    """One node. ``mode`` is None where connections go to the listeners' own ports and the node has no rule at all."""

    def __init__(self, net: Network, mode: Mode | None) -> None:
        self._network = net
        self._mode = mode
        self._listeners = [self._process("node") for _ in range(_WORKERS)]
        self._client = self._process("client")
        self._ports: set[int] = set()
        self._size = Size(0)
        self._redirects: list[Redirect] = []

    def hold(self, size: Size) -> Mapping[str, float]:
        """Make the node hold so many Services instead of those it has; return what that took."""
        new = set(size.ports) - self._ports
        for listener in self._listeners:
            listener.tell("listen", ports=sorted(new))
        self._ports |= new
        self._size, self._redirects = size, size.redirects()
        if self._mode is None:
            return {}
        self._inside(self._mode.cleanup)
        return {"install_ms": self._timed(trust=False)}

    def connections(self) -> Mapping[str, float]:
        """Open connections for a while: many at a time for their rate, one at a time for the time each takes."""
        places = self._size.listening() if self._mode is None else self._size.frontends()
        before = self._cpu_s()
        rate = self._client.tell("connect", places=places, parallel=_PARALLEL, seconds=_SECONDS)
        cpu_us = (self._cpu_s() - before) / rate["count"] * 1e6
        alone = self._client.tell("connect", places=places, parallel=1, seconds=_SECONDS)
        return {
            "per_second": rate["per_second"],
            "cpu_us": cpu_us,
            "p50_us": alone["p50_us"],
            "p99_us": alone["p99_us"],
        }

    def change(self) -> Mapping[str, float]:
        """Add a Service and remove it again, several times; return the median time of a change."""
        took = []
        for _ in range(_CHANGES):
            self._redirects.append(redirect(self._size.services, self._size.ports[0]))
            took.append(self._timed(trust=True))
            self._redirects.pop()
            took.append(self._timed(trust=True))
        return {"change_ms": sorted(took)[len(took) // 2], "change_max_ms": max(took)}

    def end(self) -> None:
        """End the processes and remove what the mode left behind."""
        for process in (self._client, *self._listeners):
            process.quit()
        if self._mode is not None:
            self._inside(self._mode.cleanup)

    def _cpu_s(self) -> float:
        """Return what both ends have used so far, and with them the kernel on their behalf."""
        return sum(float(process.tell("cpu")["seconds"]) for process in (self._client, *self._listeners))

    def _timed(self, *, trust: bool) -> float:
        """Return the milliseconds from redirects to rules."""
        assert self._mode is not None
        mode = self._mode
        began = time.perf_counter()
        plan = self._plan()
        self._inside(lambda: mode.apply(plan, trust=trust))
        return (time.perf_counter() - began) * 1e3

    def _plan(self) -> Plan:
        node = Node(frozenset({NODE}), frozenset((4, port) for port in self._ports))
        return make_plan(self._redirects, node, {})

    def _inside(self, do: Callable[[], object]) -> None:
        self._network.inside("node", do)

    def _process(self, where: str) -> Process:
        return Process(["nsenter", f"--net={self._network.path(where)}", str(programs() / "connections")])


@contextmanager
def sites(modes: list[str]) -> Iterator[Mapping[str, Site]]:
    """Build a node for each mode and one without any, and remove them at the end."""
    raise_descriptor_limit()
    with ExitStack() as stack:
        stack.callback(pins.remove, PINS)
        made: dict[str, Site] = {}
        for name in (DIRECT, TRACKED, *modes):
            net = stack.enter_context(network())
            if name == TRACKED:
                net.run("node", "iptables -A INPUT -m conntrack --ctstate INVALID -j DROP")
            made[name] = Site(net, net.inside("node", MODES[name]) if name in MODES else None)
            stack.callback(made[name].end)
        yield made
