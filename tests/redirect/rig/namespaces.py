"""A client, a node and two pods, each in a network namespace of its own; the pods hang on a bridge of the node."""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import os
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

_CLONE_NEWNET = 0x40000000
_LIBC = ctypes.CDLL(None, use_errno=True)
_NUMBERS = itertools.count()

NAMES = ("client", "node", "pod1", "pod2")
ADDRESSES = {
    ("node", "eth0"): ("10.0.1.1/24", "fd00:1::1/64"),
    ("node", "cbr0"): ("10.244.0.1/24", "fd00:244::1/64"),
    ("client", "eth0"): ("10.0.1.2/24", "fd00:1::2/64"),
    ("pod1", "eth0"): ("10.244.0.11/24", "fd00:244::11/64"),
    ("pod2", "eth0"): ("10.244.0.12/24", "fd00:244::12/64"),
}
GATEWAYS = {
    "client": ("10.0.1.1", "fd00:1::1"),
    "node": ("10.0.1.2", "fd00:1::2"),  # out of eth0, as on a real node
    "pod1": ("10.244.0.1", "fd00:244::1"),
    "pod2": ("10.244.0.1", "fd00:244::1"),
}


def _enter(path: Path) -> None:
    with path.open("rb") as namespace:
        if _LIBC.setns(namespace.fileno(), _CLONE_NEWNET):
            number = ctypes.get_errno()
            raise OSError(number, f"{path}: {os.strerror(number)}")


class Network:
    """The four namespaces. Nothing outside them is touched."""

    def __init__(self) -> None:
        self._prefix = f"ngt{os.getpid()}x{next(_NUMBERS)}-"
        self.at_the_end = contextlib.ExitStack()

    def path(self, where: str) -> Path:
        """Return the file of one namespace."""
        return Path("/run/netns") / (self._prefix + where)

    def inside(self, where: str, do: Callable[[], T]) -> T:
        """Return what a function returns when it runs in one namespace: in a thread of its own, which ends with it."""

        def entered() -> T:
            _enter(self.path(where))
            return do()

        with ThreadPoolExecutor(max_workers=1) as thread:
            return thread.submit(entered).result()

    def run(self, where: str, command: str, text: str = "") -> str:
        """Run a line of shell in one namespace and return what it prints."""
        call = ["nsenter", f"--net={self.path(where)}", "bash", "-euc", command]
        done = subprocess.run(call, input=text, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{where}: {command}\n{done.stdout}{done.stderr}"
        return done.stdout

    def ip(self, where: str, arguments: str) -> None:
        """Run ``ip`` in one namespace."""
        subprocess.run(["ip", "-netns", self.path(where).name, *arguments.split()], check=True, capture_output=True)

    def build(self) -> None:
        """Make namespaces, links, addresses and routes."""
        for name in NAMES:
            subprocess.run(["ip", "netns", "add", self.path(name).name], check=True)
            self.ip(name, "link set lo up")
            self.run(name, "sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0")
        self.ip("node", f"link add eth0 type veth peer name eth0 netns {self.path('client').name}")
        self.ip("node", "link add cbr0 type bridge")
        for pod in ("pod1", "pod2"):
            self.ip("node", f"link add v{pod} type veth peer name eth0 netns {self.path(pod).name}")
            self.ip("node", f"link set v{pod} master cbr0 up")
        for (name, device), (four, six) in ADDRESSES.items():
            self.ip(name, f"link set {device} up")
            self.ip(name, f"addr add {four} dev {device}")
            self.ip(name, f"addr add {six} dev {device} nodad")
        for name, (four, six) in GATEWAYS.items():
            self.ip(name, f"route add default via {four}")
            self.ip(name, f"-6 route add default via {six}")
        self.run("node", "sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1")
        self.bridged(on=False)

    def bridged(self, *, on: bool) -> None:
        """Say whether frames of the bridge go through iptables."""
        for name in ("bridge-nf-call-iptables", "bridge-nf-call-ip6tables"):
            self.inside("node", partial(Path(f"/proc/sys/net/bridge/{name}").write_text, str(int(on))))

    def remove(self) -> None:
        """Close what was opened, remove the namespaces, and with them everything in them."""
        self.at_the_end.close()
        for name in NAMES:
            subprocess.run(["ip", "netns", "del", self.path(name).name], check=False, capture_output=True)


@contextlib.contextmanager
def network() -> Iterator[Network]:
    """Build a network and remove it, whatever happens between."""
    made = Network()
    try:
        made.build()
        yield made
    finally:
        made.remove()
