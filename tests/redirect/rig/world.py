"""A node with a mode, a listener, a Service and somebody else's rules for the same Service."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nodegate_redirect.contract import Place, Redirect
from nodegate_redirect.ebpf import EbpfMode
from nodegate_redirect.host import addresses, sockets
from nodegate_redirect.iptables import IptablesMode
from nodegate_redirect.mode import Applied, Mode
from nodegate_redirect.nftables import NftablesMode
from nodegate_redirect.plan import Node, Plan, make_plan
from tests.redirect.rig.kernel import kernel_of
from tests.redirect.rig.kube_proxy import FAMILIES, NODE_PORT, POD_PORT, install_iptables, install_nftables
from tests.redirect.rig.namespaces import Network, network
from tests.redirect.rig.sockets import Server
from tools import bpf

PORT = 18243
PINS = Path(f"/run/nodegate-tests-{os.getpid()}")
ENVOY, POD = "envoy", "pod2"
LISTENER_MARK, UPSTREAM_MARK = 0xB00, 0xA00
ANY = ("0.0.0.0", "::")


def ebpf() -> Mode:
    """Return the mode with a folder of pins of its own, in place of the one that all agents of a machine share."""
    return EbpfMode(bpf.build(), PINS)


MODES: Mapping[str, Callable[[], Mode]] = {
    "ebpf": ebpf,
    "iptables-nft": lambda: IptablesMode("nft"),
    "iptables-legacy": lambda: IptablesMode("legacy"),
    "nftables": NftablesMode,
}
KUBE_PROXIES: Mapping[str, Callable[[Network], None]] = {
    "no kube-proxy": lambda _: None,
    "kube-proxy iptables, endpoints": lambda network: install_iptables(network, "dnat"),
    "kube-proxy iptables, none": lambda network: install_iptables(network, "reject"),
    "kube-proxy legacy, endpoints": lambda network: install_iptables(network, "dnat", backend="legacy"),
    "kube-proxy legacy, none": lambda network: install_iptables(network, "reject", backend="legacy"),
    "kube-proxy nftables, endpoints": lambda network: install_nftables(network, "dnat"),
    "kube-proxy nftables, none": lambda network: install_nftables(network, "reject"),
}
PLACES: Mapping[str, Callable[[int], Place]] = {
    "ClusterIP": lambda family: Place(FAMILIES[family].cluster_ip, 80),
    "load balancer": lambda family: Place(FAMILIES[family].load_balancer, 80),
    "NodePort": lambda family: Place(FAMILIES[family].node, NODE_PORT),
    "NodePort of the bridge": lambda family: Place(FAMILIES[family].bridge, NODE_PORT),
}


def service(port: int = PORT, ranges: tuple[str, ...] | None = None) -> Redirect:
    """Return the redirect of the one Service; with ``ranges`` its load balancer's addresses are restricted."""
    return Redirect(
        "default/web/80",
        f"default/web/http@{port}",
        port,
        tuple(
            (place(family), ranges is not None and name == "load balancer")
            for family in FAMILIES
            for name, place in PLACES.items()
            if not name.startswith("NodePort")
        ),
        ((NODE_PORT, False),),
        ranges or (),
    )


@dataclass
class World:
    """One network with one mode; everything happens in the node's namespace."""

    network: Network
    mode: Mode
    stack: ExitStack = field(default_factory=ExitStack)

    def listen(self, port: int = PORT, who: str = ENVOY, *, shared: bool = False) -> list[Server]:
        """Start what stands for Envoy: a transparent listener on every address, in both families.

        ``shared`` lets others listen on the same port, as the workers of one Envoy do.
        """
        return [
            self._server("node", address, port, who, transparent=True, mark=LISTENER_MARK, shared=shared)
            for address in ANY
        ]

    def pods(self) -> None:
        """Start what kube-proxy sends connections to."""
        for address in ANY:
            self._server("pod2", address, POD_PORT, POD)

    def stranger(self, port: int, *, shared: bool = False) -> Server:
        """Start a program that has nothing to do with us on a port of the node."""
        return self._server("node", ANY[0], port, "stranger", shared=shared)

    def _server(self, where: str, address: str, port: int, who: str, **options: Any) -> Server:
        server = Server(self.network, where, address, port, who, **options)
        self.stack.callback(server.end)
        return server

    def plan(self, *redirects: Redirect) -> Plan:
        """Return the plan for what the node is like now."""

        def make() -> Plan:
            node = Node(addresses.of_node(), sockets.of_listeners())
            return make_plan(redirects, node, self.mode.installed())

        return self.network.inside("node", make)

    def apply(self, *redirects: Redirect, trust: bool = False) -> Applied:
        """Bring the node to what is asked for."""
        plan = self.plan(*redirects)
        return self.network.inside("node", lambda: self.mode.apply(plan, trust=trust))

    def cleanup(self) -> Applied:
        """Remove all of it."""
        return self.network.inside("node", self.mode.cleanup)

    def kernel(self) -> str:
        """Return everything the node's kernel holds that redirects could have to do with."""
        return kernel_of(self.network)


def forget_pins() -> None:
    """Unmount the folder of pins with everything in it; the agent's own cleanup leaves what others may have there."""
    subprocess.run(["umount", PINS], check=False, capture_output=True)
    with suppress(FileNotFoundError):
        PINS.rmdir()


@contextmanager
def world(mode: str, kube_proxy: str = "no kube-proxy", *, bridged: bool = False) -> Iterator[World]:
    """Build a network with somebody else's rules in it, and remove it at the end."""
    with network() as made, ExitStack() as stack:
        if bridged:
            made.bridged(on=True)
        KUBE_PROXIES[kube_proxy](made)
        stack.callback(forget_pins)  # pins belong to the machine and not to a network namespace
        yield World(made, made.inside("node", MODES[mode]), stack)
