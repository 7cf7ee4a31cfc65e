"""A small cluster on this machine: a node, a client and pods, each in a network namespace of its own.

The node is this process itself, with all it starts; the others are held by open files of it. So the kernel takes all of
it down when the process ends, whatever way that happens, and nothing of the machine's own network is ever touched. A
private view of ``/run`` takes in what the agent and the programs it calls would leave there.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Network, ip_address
from pathlib import Path
from typing import TypeVar

from nodegate.demo.backends import Address, listen_here
from nodegate.errors import NodegateError, UsageError

T = TypeVar("T")

MODES = ("ebpf", "iptables", "nftables")
"""How traffic can be redirected."""
NODE, CLIENT = "10.0.1.1", "10.0.1.2"
PODS = IPv4Network("10.244.0.0/24")
_GATEWAY = str(PODS[1])
_BRIDGE = "cbr0"

_CLONE_NEWNS, _CLONE_NEWNET = 0x00020000, 0x40000000  # linux/sched.h
_MS_REC, _MS_PRIVATE = 0x4000, 0x40000  # linux/mount.h
_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_LIBC = ctypes.CDLL(None, use_errno=True)


def require_root() -> None:
    """Raise UsageError unless this process may make networks."""
    if os.geteuid() != 0:
        raise UsageError(
            "`nodegate demo --redirect` makes network namespaces and redirects traffic in them, which takes root: "
            "run it with sudo. Without --redirect the demo needs no root."
        )


class Namespace:
    """A network namespace that exists as long as this object's file is open."""

    def __init__(self, file: int) -> None:
        self._file = file

    @property
    def path(self) -> str:
        """The path by which every program of the machine can enter it: ``nsenter --net=PATH``."""
        return f"/proc/{os.getpid()}/fd/{self._file}"

    def inside(self, do: Callable[[], T]) -> T:
        """Return what a function returns in this namespace: in a thread of its own, which ends with it."""

        def entered() -> T:
            _checked("setns", self._file, _CLONE_NEWNET)
            return do()

        return _in_thread(entered)

    def ip(self, arguments: str) -> None:
        """Run ``ip`` in this namespace."""
        _run(["nsenter", f"--net={self.path}", "ip", *arguments.split()])


class Network:
    """The node's network and those on its links. ``client`` is outside the cluster; pods come as they are needed."""

    def __init__(self) -> None:
        """Make this process the node. It has to have one thread only, the main one."""
        _become_node()
        self._pods: dict[str, Namespace] = {}
        _ip("link set lo up")
        _ip(f"link add {_BRIDGE} type bridge")
        _ip(f"addr add {_GATEWAY}/{PODS.prefixlen} dev {_BRIDGE}")
        _ip(f"link set {_BRIDGE} up")
        self.client = self._neighbour("eth0", CLIENT, NODE)
        _ip(f"addr add {NODE}/24 dev eth0")
        _ip("link set eth0 up")
        Path("/proc/sys/net/ipv4/ip_forward").write_text("1")

    def serves(self, host: str) -> bool:
        """Whether an address is one of a pod."""
        try:
            return ip_address(host) in PODS
        except ValueError:
            return False

    def listen(self, address: Address) -> socket.socket:
        """Return a socket that listens in the pod of that address, which is made where there is none yet."""
        pod = self._pods.get(address.host)
        if pod is None:
            link = f"pod{address.host.rpartition('.')[2]}"
            pod = self._pods[address.host] = self._neighbour(link, address.host, _GATEWAY)
            _ip(f"link set {link} master {_BRIDGE} up")
        return pod.inside(lambda: listen_here(address))

    def _neighbour(self, link: str, address: str, gateway: str) -> Namespace:
        """Make a namespace at the other end of a link, with an address, and a way to everywhere by the gateway."""
        made = Namespace(_in_thread(_new_namespace))
        _ip(f"link add {link} type veth peer name eth0 netns {made.path}")
        made.ip("link set lo up")
        made.ip(f"addr add {address}/24 dev eth0")
        made.ip("link set eth0 up")
        made.ip(f"route add default via {gateway}")
        return made


def _become_node() -> None:
    """Give this process a network and mounts of its own, and an end with that of its parent."""
    try:
        _checked("unshare", _CLONE_NEWNET | _CLONE_NEWNS)
        _checked("mount", b"none", b"/", None, _MS_REC | _MS_PRIVATE, None)
        _checked("mount", b"nodegate-demo", b"/run", b"tmpfs", 0, b"mode=0755")
    except OSError as error:
        raise NodegateError(
            f"This process cannot have a network of its own: {error.strerror}. In a container it takes the "
            "capabilities SYS_ADMIN and NET_ADMIN."
        ) from error
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def _new_namespace() -> int:
    _checked("unshare", _CLONE_NEWNET)
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def _checked(call: str, *arguments: object) -> None:
    if getattr(_LIBC, call)(*arguments):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _in_thread(do: Callable[[], T]) -> T:
    """Return what a function returns in a thread of its own: entering a namespace there moves nothing else."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(do).result()


def _ip(arguments: str) -> None:
    _run(["ip", *arguments.split()])


def _run(command: list[str]) -> None:
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise UsageError(f"There is no {command[0]}. On Debian: apt-get install iproute2 util-linux.") from error
    except subprocess.CalledProcessError as error:
        raise NodegateError(f"`{' '.join(command)}` failed: {error.stderr.strip()}") from error
