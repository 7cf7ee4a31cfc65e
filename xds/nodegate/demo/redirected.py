"""The demo on a node of its own: the redirect agent beside Envoy, what a client outside the node gets, and why."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import os
import subprocess
import sys
from asyncio import to_thread
from collections.abc import AsyncIterator
from functools import partial
from http import HTTPStatus
from typing import Any, NamedTuple

from nodegate.app.control_plane import ControlPlane
from nodegate.demo.child import Child, running
from nodegate.demo.network import CLIENT, NODE, PODS, Network
from nodegate.errors import NodegateError, UsageError
from nodegate.snapshot.facts import NodeFacts
from nodegate.snapshot.target import Target
from nodegate.snapshot.type_urls import REDIRECT
from nodegate_protos import redirect_pb2
from nodegate_redirect.contract import Place
from nodegate_redirect.ebpf import EbpfMode
from nodegate_redirect.ebpf.program import find_program

_PATH = "/details/1"
_ANSWER_SECONDS, _POLL_SECONDS = 20.0, 0.1
_COMMANDS = {
    "ebpf": ("tc filter show dev eth0 ingress",),
    "iptables": ("iptables-save -t mangle", "ipset list nodegate4"),
    "nftables": ("nft list map inet nodegate frontends4", "nft list chain inet nodegate to-{port}"),
}
"""What shows the rules of each mode for a port. The entries of eBPF's map are bytes, which we read ourselves."""
_ROUTING = ("ip rule show pref 9", "ip route show table 2004")
"""What shows where the marks of every mode lead."""


class Frontend(NamedTuple):
    """One way in: what it is called, and where it is."""

    kind: str
    host: str
    port: int

    @property
    def url(self) -> str:
        """The URL of the book's details."""
        port = "" if self.port == 80 else f":{self.port}"
        return f"http://{self.host}{port}{_PATH}"


class Redirected:
    """The node on which the demo is: ``network`` is its own, and its agent redirects in ``mode``."""

    def __init__(self, network: Network, mode: str) -> None:
        self._network, self._mode = network, mode
        self.serves, self.listen = network.serves, network.listen

    @contextlib.asynccontextmanager
    async def opened(self, plane: ControlPlane) -> AsyncIterator[str]:
        """Run the agent while the block lasts, and give what a client gets; an agent that ends by itself ends it."""
        options = {"--mode": self._mode, "--xds-address": str(plane.xds_address), "--node-name": "demo"}
        words = [word for option in options.items() for word in option]
        command = [sys.executable, "-m", "nodegate", "agent", *words]
        async with running("The redirect agent", command) as child, child.required():
            yield await _shown(self._network, self._mode, plane.engine.state.target, child)


async def _shown(network: Network, mode: str, target: Target, child: Child) -> str:
    """Wait until a client outside the node is served by every way in; return what it got, and what did it."""
    frontends, port = _ways_in(target)
    lines = ["", f"A client outside the node, {CLIENT}, asks:", ""]
    for frontend in frontends:
        answer = await _answer(network, frontend, child)
        lines += [f"  # nsenter --net={network.client.path} curl -s {frontend.url}    ({frontend.kind})", f"  {answer}"]
    lines += ["", f"On the node, {NODE}, Envoy listens on port {port} and has connections to Pods:", ""]
    for command in (f"ss -tnlp sport = :{port}", f"ss -tnp dst {PODS}"):
        lines += await to_thread(_printed, command)
    lines += [f"What leads the client's connections to port {port}, by {mode}:", ""]
    for command in _COMMANDS[mode]:
        lines += await to_thread(_printed, command.format(port=port))
    if mode == "ebpf":
        lines += await to_thread(_entries)
    lines += ["What it marks is delivered here, whatever address it goes to:", ""]
    for command in _ROUTING:
        lines += await to_thread(_printed, command)
    enter = f"nsenter --target={os.getpid()} --net --mount"
    return "\n".join(
        [*lines, f"`{enter}` leads into the node. Edits of the example are live. Ctrl-C stops everything."]
    )


def _ways_in(target: Target) -> tuple[list[Frontend], int]:
    """Return the frontends of the example's redirect, and the listener's port."""
    for _, entry in sorted(target.of_type(REDIRECT).items()):
        message = redirect_pb2.ServiceRedirect.FromString(entry.resolve(NodeFacts()).body)
        return sorted(map(_frontend, message.frontends)), message.listener.port
    raise UsageError(
        "The example holds no Service by which clients reach its Ingress, so there is nothing to redirect: "
        "write one like that of examples/redirect."
    )


def _frontend(frontend: Any) -> Frontend:
    if frontend.WhichOneof("place") == "node_port":
        return Frontend("NodePort", NODE, frontend.node_port)
    return Frontend("ClusterIP", frontend.address.ip, frontend.address.port)


async def _answer(network: Network, frontend: Frontend, child: Child) -> str:
    """Return what the client gets there, once it is answered through Envoy."""
    try:
        async with asyncio.timeout(_ANSWER_SECONDS):
            while not (answer := await to_thread(network.client.inside, partial(_fetch, frontend))):  # noqa: ASYNC110 - the event is in the agent
                await asyncio.sleep(_POLL_SECONDS)
    except TimeoutError as error:
        raise NodegateError(
            f"{frontend.url} was not answered within {_ANSWER_SECONDS:.0f} s. The end of the agent's log:\n"
            f"{child.log_tail()}"
        ) from error
    return answer


def _fetch(frontend: Frontend) -> str:
    connection = http.client.HTTPConnection(frontend.host, frontend.port, timeout=1.0)
    with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
        connection.request("GET", _PATH)
        answer = connection.getresponse()
        if answer.status == HTTPStatus.OK and answer.headers["server"] == "envoy":
            return answer.read().decode()
    return ""


def _printed(command: str) -> list[str]:
    """Return a command and what it prints, as a terminal shows it."""
    try:
        ran = subprocess.run(command.split(), capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise UsageError(f"There is no {error.filename}, which shows what the demo did. Install it.") from error
    return [f"  # {command}", *(f"  {line}" for line in (ran.stdout + ran.stderr).splitlines()), ""]


def _entries() -> list[str]:
    """Return the entries of the map by which the eBPF program decides."""
    places = EbpfMode(find_program()).installed()
    width = max(len(_text(place)) for place in places)
    lines = (f"  {_text(place):{width}} -> port {port}" for place, port in sorted(places.items()))
    return ["  The entries of its map:", *lines, ""]


def _text(place: Place) -> str:
    return f"[{place.address}]:{place.port}" if place.family == 6 else f"{place.address}:{place.port}"
