"""Nothing is left of clients that are gone, however they behaved, and nothing grows on a stream that stays."""

from __future__ import annotations

import gc
from contextlib import suppress

import pytest

from nodegate.server.protocol.stream import Stream
from nodegate.snapshot.type_urls import CLUSTER, ENDPOINT, LISTENER, ROUTE
from tests.protocol.wire import Wire
from tests.transport.client import DELTA, SOTW, Call, StreamEnded, channel_to, eventually, resource, stream, target
from tests.transport.conftest import Serve

STREAMS = 300
LAST_ONES = 50
"""More than gRPC keeps of calls that ended, until it handles others; the same however many there were (seen: 14)."""

WORLD = target(*(resource(type_url, "one") for type_url in (CLUSTER, ENDPOINT, LISTENER, ROUTE)))


async def misbehave(call: Call, how: int) -> None:
    """Use a stream in one of some ways in which clients use them, or should not."""
    match how:
        case 0:
            await call.send_bytes(b"\xff\xff")
            with suppress(StreamEnded):
                await call.receive()
        case 1:
            await call.send(CLUSTER)
            with suppress(StreamEnded):
                await call.receive()
        case 2:
            await call.send(CLUSTER, node="n")
            nonce = (await call.receive()).nonce
            await call.send(CLUSTER, response_nonce=nonce, error_detail={"message": "no"})
        case 3:
            await call.send(CLUSTER, node="n")
            for number in range(30):
                await call.send(f"type-{number}")
        case _:
            pass
    call.cancel()


def streams() -> list[Stream]:
    """Return every stream that exists in this process."""
    gc.collect()
    return [one for one in gc.get_objects() if isinstance(one, Stream)]


async def test_nothing_is_left_of_streams_that_ended(serve: Serve) -> None:
    """Those that broke the protocol, that rejected everything, and that went without a word."""
    async with serve(WORLD) as running, channel_to(running.address) as channel:
        before = len(streams())
        for number in range(STREAMS):
            await misbehave(stream(channel, (SOTW, DELTA)[number % 2]), number // 2 % 5)
        await eventually(lambda: not len(running.clients))
        assert len(streams()) - before < LAST_ONES


@pytest.mark.parametrize("variant", ["delta", "sotw"])
def test_names_that_were_dropped_leave_nothing_on_a_stream(variant: str) -> None:
    """However many a client asked for, one after the other, whether they exist or not."""
    wire = Wire(variant, "EDS a")
    wire.play("<-EDS sub[a] NODE | ->EDS n1[a] | <-EDS n1" if variant == "delta" else "<-EDS [a] NODE | ->EDS v1 n1[a]")
    sizes = set()
    for number in range(100):
        asked = f"EDS sub[x{number}] unsub[x{number - 1}]" if variant == "delta" else f"EDS [a,x{number}] v1 n1"
        wire.ask(asked)
        while wire.inbox:
            wire.acknowledge(wire.inbox.pop())
        state = wire.stream.states[ENDPOINT]
        held = (state.subscription.names, [*state.ledger.names()], state.agenda.dirty, state.agenda.forced)
        sizes.add(tuple(len(one) for one in (*held, state.agenda.holds, state.agenda.news, state.refused)))
    assert len(sizes) <= 2, "the first name is one more, every other one replaces it"
