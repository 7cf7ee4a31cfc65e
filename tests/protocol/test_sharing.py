"""Clients that ask for a few names of many are sent the same bytes, whether they share the work with others or not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from envoy.service.discovery.v3 import discovery_pb2
from hypothesis import note, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from nodegate.server.protocol.decode import decode_request
from nodegate.server.protocol.request import Variant
from nodegate.server.protocol.response import Response
from nodegate.server.protocol.stream import Stream, StreamOptions
from nodegate.snapshot.resource import Entry, Key
from nodegate.snapshot.target import Target
from tests.protocol.wire import TYPES, resource

KINDS, NAMES = ("EDS", "RDS", "CDS", "LDS"), "abcdefgh"
kinds, names = st.sampled_from(KINDS), st.sampled_from(NAMES)
few = st.sets(names, max_size=3)
contents = st.sampled_from("0123")


def request(variant: Variant, kind: str, **says: Any) -> bytes:
    """Return the bytes of a request."""
    message = discovery_pb2.DeltaDiscoveryRequest if variant is Variant.DELTA else discovery_pb2.DiscoveryRequest
    return bytes(message(type_url=TYPES[kind], node={"id": "envoy-1"}, **says).SerializeToString())


def put(target: Target, kind: str, content: Mapping[str, str | None]) -> Target:
    """Return the next target, with these names in it or, where None, no more. A route names two clusters."""
    changes: dict[Key, Entry | None] = {}
    for name, text in content.items():
        refs = "ab" if kind == "RDS" else ()
        changes[TYPES[kind], name] = resource(kind, name, text, refs) if text is not None else None
    return target.apply(changes)


class Sharing(RuleBasedStateMachine):
    """One client, and two streams that serve it: one shares its updates, one does not (xds-protocol 25, 28, 35, 49)."""

    variant = Variant.DELTA

    @initialize()
    def begin(self) -> None:
        """Start with much more than the client will ask for."""
        self.now = 100.0
        self.target = Target()
        for kind in KINDS:
            self.target = put(self.target, kind, dict.fromkeys(NAMES, "1"))
        self.asked: dict[str, set[str]] = {}
        self.open: dict[str, Response] = {}
        self.streams = [Stream(self.variant, StreamOptions(share=share)) for share in (True, False)]

    def _say(self, kind: str, **says: Any) -> None:
        data = request(self.variant, kind, **says)
        note(f"<- {kind} {says}")
        refusals = [stream.on_request(decode_request(self.variant, data)) for stream in self.streams]
        assert refusals[0] == refusals[1]
        self._listen()

    def _listen(self) -> None:
        for _ in range(50):
            said = []
            for stream in self.streams:
                stream.on_target(self.target)
                said.append(stream.next_response(self.now))
            assert (said[0] and said[0].data) == (said[1] and said[1].data), "sharing changes the bytes"
            assert self.streams[0].deadline() == self.streams[1].deadline()
            if said[0] is None:
                self._compare()
                return
            kind = next(one for one in KINDS if TYPES[one] == said[0].type_url)
            note(f"-> {kind} {said[0].data!r}")
            assert kind not in self.open
            self.open[kind] = said[0]
        raise AssertionError("the server does not stop talking")

    def _compare(self) -> None:
        shares, other = self.streams
        for url, state in shares.states.items():
            ledger, alone = state.ledger, other.states[url].ledger
            held = {name: ledger.get(name) for name in ledger.names()}
            assert held == {name: alone.get(name) for name in alone.names()}
            assert ledger.digest == alone.digest == sum(one.digest for one in held.values() if one is not None)
            assert set(state.subscription.names) == set(other.states[url].subscription.names)

    @rule(kind=kinds, name=names, content=contents)
    def change_one(self, kind: str, name: str, content: str) -> None:
        """One name comes or changes; 0 is a cluster without endpoints."""
        self._publish(kind, {name: content})

    @rule(kind=kinds, content=st.dictionaries(names, st.none() | contents, min_size=1, max_size=4))
    def change_some(self, kind: str, content: dict[str, str | None]) -> None:
        """Some names come, change or go, in one step."""
        self._publish(kind, content)

    def _publish(self, kind: str, content: Mapping[str, str | None]) -> None:
        note(f"++ {kind} {content}")
        self.target = put(self.target, kind, content)
        self._listen()

    @rule(kind=kinds, added=few, dropped=few)
    def ask(self, kind: str, added: set[str], dropped: set[str]) -> None:
        """The client asks for some names, and for some no more."""
        before = self.asked.setdefault(kind, set())
        self.asked[kind] = (before - dropped) | added
        if self.variant is Variant.DELTA:
            self._say(
                kind,
                resource_names_subscribe=sorted(added),
                resource_names_unsubscribe=sorted(dropped & before - added),
            )
        elif self.asked[kind]:
            self._say(kind, resource_names=sorted(self.asked[kind]))

    @precondition(lambda self: self.open)
    @rule(data=st.data(), refuses=st.sampled_from(["", "", "", "", "no reason", "a", "b is bad"]))
    def answer(self, data: st.DataObject, refuses: str) -> None:
        """The client acknowledges a response, or refuses it, naming the culprit or not."""
        kind = data.draw(st.sampled_from(sorted(self.open)))
        response = self.open.pop(kind)
        says: dict[str, Any] = {"response_nonce": response.nonce}
        if refuses:
            says["error_detail"] = {"message": refuses}
        if self.variant is Variant.SOTW:
            says["resource_names"] = sorted(self.asked[kind])
            if not refuses:
                says["version_info"] = discovery_pb2.DiscoveryResponse.FromString(response.data).version_info
        self._say(kind, **says)

    @rule(seconds=st.sampled_from([1.0, 16.0]))
    def wait(self, seconds: float) -> None:
        """Time passes, so that waits end."""
        self.now += seconds
        self._listen()


class SharingSotw(Sharing):
    """The same in the other variant (xds-protocol 16, 20, 35, 49)."""

    variant = Variant.SOTW


def case(machine: type[Sharing]) -> Any:
    """Return the test of a client."""
    test = machine.TestCase
    test.settings = settings(stateful_step_count=30)
    test.pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]  # type: ignore[attr-defined]  # pytest's, on any class
    return test


TestSharing = case(Sharing)
TestSharingSotw = case(SharingSotw)


def test_streams_that_ask_for_one_name_of_many_share_what_changes_it() -> None:
    """And answer as one that asked for more: each acknowledges for itself (xds-protocol 25, 49)."""
    target = put(Target(), "EDS", dict.fromkeys(NAMES, "1"))
    streams = [Stream(Variant.DELTA) for _ in range(2)]
    for stream, asked in zip(streams, ("a", "ab"), strict=True):
        stream.on_request(decode_request(Variant.DELTA, request(stream.variant, "EDS", resource_names_subscribe=asked)))
        _settle(stream, target)
    target = put(target, "EDS", {"a": "2"})
    for stream in streams:
        stream.on_target(target)
        assert stream.next_response(0.0)
    first, second = (stream.states[TYPES["EDS"]].outstanding for stream in streams)
    assert first is not None
    assert second is not None
    assert first.shared is second.shared is not None
    assert first.version != second.version
    for stream in streams:
        _settle(stream, target)
        ledger = stream.states[TYPES["EDS"]].ledger
        assert {name: ledger.get(name) for name in ledger.names()} == {
            name: target.get(TYPES["EDS"], name) for name in stream.states[TYPES["EDS"]].subscription.names
        }


def _settle(stream: Stream, target: Target) -> None:
    """Acknowledge what there is to acknowledge."""
    stream.on_target(target)
    stream.next_response(0.0)
    outstanding = stream.states[TYPES["EDS"]].outstanding
    assert outstanding is not None
    stream.on_request(decode_request(stream.variant, request(stream.variant, "EDS", response_nonce=outstanding.nonce)))
    assert stream.next_response(0.0) is None
