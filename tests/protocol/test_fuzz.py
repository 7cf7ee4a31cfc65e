"""Nothing that a client sends raises anything but ProtocolError, whatever the order and the target."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from envoy.service.discovery.v3 import discovery_pb2
from hypothesis import given, settings
from hypothesis import strategies as st

from nodegate.server.protocol.decode import decode_request
from nodegate.server.protocol.request import ProtocolError, Variant
from nodegate.server.protocol.stream import Stream, StreamOptions
from nodegate.snapshot.target import Target
from tests.protocol.wire import TYPES, resource

FULL = settings().max_examples > 1000
MOST_RESPONSES = 50

pytestmark = pytest.mark.usefixtures("batch")

variants = st.sampled_from(list(Variant))
names = st.lists(st.sampled_from(["*", "a", "b", "c", "", "x/*", "ü"]), max_size=4)
types = st.sampled_from([*TYPES.values(), ""])


@pytest.fixture(params=range(20 if FULL else 1), scope="module")
def batch() -> None:
    """Run a test this often: Hypothesis remembers every example of one, and a million would take 2 GB."""


@st.composite
def requests(draw: st.DrawFn, variant: Variant) -> Any:
    """Return a well-formed request that makes no sense, most of the time."""
    message: Any = (
        discovery_pb2.DiscoveryRequest() if variant is Variant.SOTW else discovery_pb2.DeltaDiscoveryRequest()
    )
    message.type_url = draw(types)
    message.response_nonce = draw(st.sampled_from(["", "1", "2", "3", "4", "5", "6", "7", "8", "zzz"]))
    if draw(st.booleans()):
        message.node.id = "fuzz"
    if draw(st.integers(0, 3)) == 0:
        message.error_detail.message = draw(st.sampled_from(["", "a is bad", "what?", "b\nc"]))
    if variant is Variant.SOTW:
        message.resource_names.extend(draw(names))
        message.version_info = draw(st.sampled_from(["", "0" * 32, "1"]))
    else:
        message.resource_names_subscribe.extend(draw(names))
        message.resource_names_unsubscribe.extend(draw(names))
        for name in draw(names):
            message.initial_resource_versions[name] = draw(st.sampled_from(["", "1", resource("CDS", "a").version]))
    return message


@pytest.mark.slow
@pytest.mark.timeout(3600 if FULL else 120)
@settings(max_examples=2_500 if FULL else min(150, 5 * settings().max_examples), derandomize=not FULL)
@given(data=st.data(), variant=variants)
def test_sequences_of_messages_end_in_silence_or_a_protocol_error(data: st.DataObject, variant: Variant) -> None:
    """With targets that change in between, each message causes a bounded number of responses (xds-protocol 34, 14)."""
    streams = [Stream(variant, StreamOptions(share=share)) for share in (True, False)]
    target, now = Target(), 0.0
    for step in range(data.draw(st.integers(1, 20))):
        if data.draw(st.booleans()):
            target = _changed(data, target, step)
        else:
            request = data.draw(requests(variant)).SerializeToString()
            try:
                for stream in streams:
                    stream.on_request(decode_request(variant, request))
            except ProtocolError:
                return
        now += data.draw(st.sampled_from([0.0, 0.0, 1.0, 20.0]))
        said = [_drain(stream, target, now) for stream in streams]
        assert said[0] == said[1]


def _changed(data: st.DataObject, target: Target, step: int) -> Target:
    kind = data.draw(st.sampled_from(["CDS", "EDS", "RDS", "LDS", "SDS"]))
    one = resource(kind, data.draw(st.sampled_from("abc")), data.draw(st.sampled_from(["0", str(step)])), ["a", "b"])
    return target.apply({one.key: one if data.draw(st.booleans()) else None})


def _drain(stream: Stream, target: Target, now: float) -> list[bytes]:
    stream.on_target(target)
    said = []
    while (response := stream.next_response(now)) is not None:
        said.append(response.data)
        assert len(said) < MOST_RESPONSES
    deadline = stream.deadline()
    assert deadline is None or deadline > now
    return said


@pytest.mark.timeout(3600 if FULL else 60)
@settings(max_examples=50_000 if FULL else min(300, 5 * settings().max_examples), derandomize=not FULL)
@given(data=st.binary(max_size=200), variant=variants)
def test_bytes_that_are_no_request_are_a_protocol_error(data: bytes, variant: Variant) -> None:
    """Never a crash; what can be read as a request is one (xds-protocol 2)."""
    with suppress(ProtocolError):
        Stream(variant).on_request(decode_request(variant, data))
