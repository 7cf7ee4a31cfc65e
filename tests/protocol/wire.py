"""A scripted client of a pure stream. Scripts are written as the protocol's own traces are.

::

    ++ CDS c1@1, EDS c1@1, LDS l1@1(r1), RDS r1@1(c1)   the target: put these in (name@content(names it holds))
    -- CDS c1, EDS c1                                   the target: take these out
    <- CDS '' NODE                                      the client asks; '' is an empty nonce, NODE says who it is
    <- SRD sub[*] NODE AGENT                            a redirect agent asks
    <- EDS sub[c1] unsub[c2] init{c1:1} n7 error{no}    delta
    <- EDS [c1,c2] v1 n3                                state of the world: all names, version, nonce
    -> CDS n1[c1@1,c2] removed[c3]                      what the server sends next: exactly these resources
    -> CDS v1 n1[c1]                                    state of the world: with its version
    ..                                                  the server says nothing more
    .. 15s                                              time passes
    (anything in parentheses is a remark)

``|`` and ``;`` separate steps like a new line. The content of an EDS resource called ``0`` is: no endpoints. Nonces and
versions are labels: the first use of one in ``->`` gives it its meaning. What the server has said at the end of a
script has to have been read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf.unknown_fields import UnknownFieldSet

from nodegate.server.protocol.decode import decode_request
from nodegate.server.protocol.request import Variant
from nodegate.server.protocol.stream import Refusal, Stream, StreamOptions
from nodegate.server.protocol.withdrawal import Withdrawals
from nodegate.snapshot.resource import Key, Resource
from nodegate.snapshot.target import Target
from nodegate.snapshot.type_urls import CLUSTER, ENDPOINT, LISTENER, PREFIX, REDIRECT, ROUTE, SECRET

TYPES = {
    "CDS": CLUSTER,
    "EDS": ENDPOINT,
    "SDS": SECRET,
    "LDS": LISTENER,
    "RDS": ROUTE,
    "SRD": REDIRECT,
    "ECDS": PREFIX + "envoy.config.core.v3.TypedExtensionConfig",
    "VHDS": PREFIX + "envoy.config.route.v3.VirtualHost",
    "XYZ": PREFIX + "example.v1.Unheard",
}
SHORT = {url: short for short, url in TYPES.items()}
NODE_ID = "node-1"

_RESOURCE = re.compile(r"(?P<type>[A-Z]+) +(?P<name>[\w./:*-]+)(?:@(?P<content>\w+))?(?:\((?P<names>[^)]*)\))?")


def resource(short: str, name: str, content: str = "1", names: Iterable[str] = ()) -> Resource:
    """Return a made-up resource whose bytes are ``name@content``."""
    refs: tuple[Key, ...] = ()
    if short == "CDS":
        refs = ((ENDPOINT, name), *((SECRET, secret) for secret in names))
    elif short == "LDS":
        refs = tuple((SECRET if one.startswith("s") else ROUTE, one) for one in names)
    elif short == "RDS":
        refs = tuple((CLUSTER, cluster) for cluster in names)
    elif short == "SRD":
        refs = tuple((LISTENER, listener) for listener in names)
    empty = short == "EDS" and content == "0"
    return Resource(TYPES[short], name, f"{name}@{content}".encode(), refs=refs, empty=empty)


def resources(text: str) -> list[Resource]:
    """Return the resources written as ``CDS c1@1, EDS c1@1``."""
    return [
        resource(match["type"], match["name"], match["content"] or "1", re.findall(r"[\w./@-]+", match["names"] or ""))
        for match in _RESOURCE.finditer(text)
    ]


@dataclass(frozen=True)
class Said:
    """One response, as it came over the wire."""

    short: str
    nonce: str
    version: str
    carried: dict[str, str]
    removed: tuple[str, ...]
    raw: Any = field(compare=False, repr=False)


class Wire:
    """A client and the stream that serves it. ``world`` is the target as a script writes it, ``now`` the clock."""

    def __init__(
        self,
        variant: str,
        world: str = "",
        *,
        options: StreamOptions | None = None,
        features: Iterable[str] = (),
        ready: bool = True,
        withdrawals: Withdrawals | None = None,
        node: str = "",
    ) -> None:
        self.variant = Variant(variant)
        self.options = options or StreamOptions()
        self.features = tuple(features)
        self.withdrawals = withdrawals
        self.node = node
        self.target = Target()
        self.now = 100.0
        self.inbox: list[Said] = []
        self.refusals: list[Refusal] = []
        self._labels: dict[str, str] = {"''": "", "v''": ""}
        self.ready = ready
        if world:
            self.put(world)
        self.stream = Stream(self.variant, self.options, self.withdrawals)
        self._deliver()

    # --- inputs --------------------------------------------------------------------------------------------------

    def put(self, world: str) -> None:
        """Change the target: put these in."""
        self._publish(self.target.apply({one.key: one for one in resources(world)}))

    def take(self, world: str) -> None:
        """Change the target: take these out."""
        self._publish(self.target.apply({one.key: None for one in resources(world)}))

    def mark(self, *, stale: bool) -> None:
        """Mark the target as one of an earlier run, or not."""
        self._publish(self.target.mark(stale=stale))

    def redial(self) -> None:
        """Lose the stream and open another one, perhaps to another replica or after a restart."""
        assert not self.inbox, self.inbox
        self.stream = Stream(self.variant, self.options, self.withdrawals)
        self._deliver()

    def request(self, data: bytes) -> None:
        """Send the bytes of a request."""
        refusal = self.stream.on_request(decode_request(self.variant, data))
        if refusal is not None:
            self.refusals.append(refusal)
        self._deliver()

    def ask(self, line: str) -> None:
        """Send a request written as in a script."""
        self.request(self.encode(line))

    def wait(self, seconds: float) -> None:
        """Let time pass, looking at the stream at each of its deadlines."""
        end = self.now + seconds
        while (deadline := self.stream.deadline()) is not None and deadline <= end:
            assert deadline > self.now, "the deadline has to be ahead"
            self.now = deadline
            self._deliver()
        self.now = end
        self._deliver()

    def _publish(self, target: Target) -> None:
        self.target = target
        if hasattr(self, "stream"):
            self._deliver()

    def _deliver(self) -> None:
        if not self.ready:
            return
        self.stream.on_target(self.target)
        for _ in range(1000):
            response = self.stream.next_response(self.now)
            if response is None:
                return
            self.inbox.append(self._read(response.data))
        raise AssertionError("the stream does not stop talking")

    def _read(self, data: bytes) -> Said:
        if self.variant is Variant.DELTA:
            delta: Any = discovery_pb2.DeltaDiscoveryResponse.FromString(data)
            assert not any(map(UnknownFieldSet, (delta, *delta.resources))), "not of the API"
            carried = {one.name: one.resource.value.decode().rpartition("@")[2] for one in delta.resources}
            removed = tuple(delta.removed_resources)
            return Said(SHORT[delta.type_url], delta.nonce, delta.system_version_info, carried, removed, delta)
        sotw: Any = discovery_pb2.DiscoveryResponse.FromString(data)
        assert not UnknownFieldSet(sotw), "not of the API"
        pairs = [_unwrapped(one) for one in sotw.resources]
        return Said(SHORT[sotw.type_url], sotw.nonce, sotw.version_info, dict(pairs), (), sotw)

    # --- scripts -------------------------------------------------------------------------------------------------

    def play(self, script: str) -> None:
        """Go through a script and require that the server says exactly what is in it."""
        for step in re.split(r"[|;\n]", re.sub(r"^ *\([^)]*\) *$", "", script, flags=re.MULTILINE)):
            line = step.strip()
            if line and not line.startswith("("):
                self._step(line)
        self.hears_nothing("at the end of the script")

    def _step(self, line: str) -> None:
        act, rest = line[:2], line[2:].strip()
        if act == "++":
            self.put(rest)
        elif act == "--":
            self.take(rest)
        elif act == "<-":
            self.request(self.encode(rest))
        elif act == "->":
            self.hears(rest)
        elif act == ".." and rest:
            self.wait(float(rest.removesuffix("s")))
        elif act == "..":
            self.hears_nothing(line)
        else:
            raise ValueError(f"not a step: {line}")

    def hears_nothing(self, where: str = "") -> None:
        """Require that the server has said nothing that was not read yet."""
        assert self.inbox == [], f"unexpected {where}: {self.inbox}"

    def hears(self, expected: str) -> Said:
        """Require that this is what the server said next, and return it."""
        assert self.inbox, f"the server said nothing; expected -> {expected}"
        said = self.inbox.pop(0)
        short, _, rest = expected.partition(" ")
        assert said.short == short, f"expected -> {expected}, heard {said}"
        for label in re.findall(r"(?<![\w\[{,@])[nv]\w+(?![\w:])", re.sub(r"[\[{][^\]}]*[\]}]", " ", rest)):
            meant = said.nonce if label.startswith("n") else said.version
            assert self._labels.setdefault(label, meant) == meant, f"{label} of {expected} is another one: {said}"
        carried, removed = _list(r"(?<!removed)\[([^\]]*)\]", rest), _list(r"removed\[([^\]]*)\]", rest)
        names = [one.partition("@")[0] for one in carried]
        assert sorted(names) == sorted(said.carried), f"expected -> {expected}, heard {said}"
        for one in carried:
            name, _, content = one.partition("@")
            assert not content or said.carried[name] == content, f"expected -> {expected}, heard {said}"
        assert sorted(removed) == sorted(said.removed), f"expected -> {expected}, heard {said}"
        return said

    def acknowledge(self, said: Said) -> None:
        """Acknowledge a response, asking for the same as before."""
        message: Any = _message(self.variant)(type_url=TYPES[said.short], response_nonce=said.nonce)
        if self.variant is Variant.SOTW:
            message.version_info = said.version
            message.resource_names.extend(self.stream.states[TYPES[said.short]].subscription.names)
        self.request(message.SerializeToString())

    def encode(self, line: str) -> bytes:
        """Return the bytes of a request written as in a script."""
        short, _, rest = line.partition(" ")
        message: Any = _message(self.variant)(type_url=TYPES.get(short, "") if short != "-" else "")
        if "NODE" in rest:
            message.node.id = NODE_ID
            if self.node:
                message.node.metadata["nodegate.dev/node"] = self.node
            message.node.client_features.extend(self.features)
        if "AGENT" in rest:
            message.node.metadata["nodegate.dev/role"] = "agent"
        if (error := re.search(r"error\{([^}]*)\}", rest)) is not None:
            message.error_detail.code, message.error_detail.message = 13, error[1]
        if self.variant is Variant.DELTA:
            message.resource_names_subscribe.extend(_list(r"(?<!un)sub\[([^\]]*)\]", rest))
            message.resource_names_unsubscribe.extend(_list(r"unsub\[([^\]]*)\]", rest))
            for pair in _list(r"init\{([^}]*)\}", rest):
                name, _, content = pair.partition(":")
                message.initial_resource_versions[name] = resource(short, name, content).version
        else:
            message.resource_names.extend(_list(r"\[([^\]]*)\]", rest))
        self._fill_labels(message, re.sub(r"[\[{][^\]}]*[\]}]", " ", rest))
        return bytes(message.SerializeToString())

    def _fill_labels(self, message: Any, rest: str) -> None:
        for label in re.findall(r"v''|''|\b[nv]\w+", rest):
            if label.startswith("v") and self.variant is Variant.DELTA:
                continue
            if label.startswith("v"):
                message.version_info = self._labels.get(label, label)
            else:
                message.response_nonce = self._labels.get(label, label)


def _message(variant: Variant) -> Any:
    return discovery_pb2.DeltaDiscoveryRequest if variant is Variant.DELTA else discovery_pb2.DiscoveryRequest


def _unwrapped(one: Any) -> tuple[str, str]:
    """Return name and content of one resource of a state-of-the-world response, wrapped or not."""
    if one.type_url.endswith("discovery.v3.Resource"):
        wrapper: Any = discovery_pb2.Resource.FromString(one.value)
        assert not UnknownFieldSet(wrapper), "not of the API"
        return wrapper.name, wrapper.resource.value.decode().rpartition("@")[2]
    name, at, content = one.value.decode().rpartition("@")
    if not at:  # made by the server itself
        return endpoint_pb2.ClusterLoadAssignment.FromString(one.value).cluster_name, "0"
    return name, content


def _list(pattern: str, text: str) -> list[str]:
    found = re.search(pattern, text)
    return [one.strip() for one in found[1].split(",") if one.strip()] if found else []
