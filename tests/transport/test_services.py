"""Single-type services, Fetch, health, reflection, CSDS, limits and draining, over real sockets."""

from __future__ import annotations

import asyncio
import stat
from pathlib import Path
from typing import Any

import grpc
import pytest
import structlog
from envoy.admin.v3 import config_dump_shared_pb2 as states
from envoy.service.discovery.v3 import discovery_pb2 as pb
from envoy.service.status.v3 import csds_pb2, csds_pb2_grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from nodegate.errors import TransportError
from nodegate.server import Clients, ServerOptions, XdsServer
from nodegate.server.services import SERVICES, Service
from nodegate.snapshot.publisher import Publisher
from nodegate.snapshot.resource import Key
from nodegate.snapshot.type_urls import CLUSTER, ENDPOINT, LISTENER, REDIRECT, ROUTE, SECRET
from tests.transport.client import (
    DELTA,
    SOTW,
    StreamEnded,
    channel_to,
    eventually,
    refusal_of,
    resource,
    stream,
    target,
)
from tests.transport.conftest import Serve

EVERY_TYPE = target(*(resource(type_url, "one") for type_url in (CLUSTER, ENDPOINT, SECRET, LISTENER, ROUTE)))
SINGLE = [service for service in SERVICES if service.type_url]


@pytest.mark.parametrize("service", SINGLE, ids=lambda service: service.stream)
async def test_each_single_type_service_streams_its_type_in_both_variants(serve: Serve, service: Service) -> None:
    """The type may be left out of the request there; ADS needs it (xds-protocol 2)."""
    async with serve(EVERY_TYPE) as running, channel_to(running.address) as channel:
        for method, names in (
            (service.stream, {"resource_names": ["one"]}),
            (service.delta, {"resource_names_subscribe": ["one"]}),
        ):
            call = stream(channel, f"/{service.name}/{method}")
            await call.send("", node="n", **names)
            assert (await call.receive()).type_url == service.type_url


@pytest.mark.parametrize("service", SINGLE, ids=lambda service: service.fetch)
async def test_fetch_answers_one_request(serve: Serve, service: Service) -> None:
    """A Fetch call returns what the first response of a stream would carry."""
    async with serve(EVERY_TYPE) as running, channel_to(running.address) as channel:
        request = pb.DiscoveryRequest(resource_names=["one"])
        request.node.id = "n"
        data = await channel.unary_unary(f"/{service.name}/{service.fetch}")(request.SerializeToString())
        response = pb.DiscoveryResponse.FromString(data)
        assert (response.type_url, len(response.resources)) == (service.type_url, 1)
        assert len(running.clients) == 0


async def test_a_single_type_service_refuses_another_type(serve: Serve) -> None:
    """The error says which service to use instead."""
    async with serve(EVERY_TYPE) as running, channel_to(running.address) as channel:
        call = stream(channel, f"/{SINGLE[0].name}/{SINGLE[0].delta}")
        await call.send(LISTENER, node="n")
        with pytest.raises(StreamEnded, match="aggregated stream") as ended:
            await call.receive()
        assert ended.value.code is grpc.StatusCode.INVALID_ARGUMENT


async def test_no_stream_is_answered_before_the_sources_are_synced(serve: Serve) -> None:
    """Before the first target a call ends with UNAVAILABLE; an empty answer would wipe proxies (xds-protocol 47)."""
    async with serve(None) as running, channel_to(running.address) as channel:
        for method in (SOTW, DELTA):
            refused = await refusal_of(stream(channel, method))
            assert refused.code is grpc.StatusCode.UNAVAILABLE
        running.publisher.publish(EVERY_TYPE)
        call = stream(channel)
        await call.send(CLUSTER, node="n")
        assert len((await call.receive()).resources) == 1


async def test_malformed_bytes_end_only_the_stream_that_sent_them(serve: Serve) -> None:
    """Garbage gets INVALID_ARGUMENT and a sentence; the neighbour on the same connection goes on."""
    async with serve(EVERY_TYPE) as running, channel_to(running.address) as channel:
        good, bad = stream(channel), stream(channel)
        await good.send(CLUSTER, node="n")
        await good.receive()
        await bad.send_bytes(b"\xff\xff\xff")
        with pytest.raises(StreamEnded, match="not a valid delta discovery request") as ended:
            await bad.receive()
        assert ended.value.code is grpc.StatusCode.INVALID_ARGUMENT
        running.publisher.publish(EVERY_TYPE.apply({(CLUSTER, "two"): resource(CLUSTER, "two")}))
        await good.send(CLUSTER, response_nonce="1")
        assert (await good.receive()).resources[0].name == "two"


async def test_a_first_request_without_node_is_refused(serve: Serve) -> None:
    """INVALID_ARGUMENT, not a crash (xds-protocol 1)."""
    async with serve(EVERY_TYPE) as running, channel_to(running.address) as channel:
        call = stream(channel)
        await call.send(CLUSTER)
        with pytest.raises(StreamEnded, match="has to carry the node"):
            await call.receive()


async def test_one_host_may_hold_only_so_many_streams(serve: Serve) -> None:
    """The stream over the bound is refused with the flag to raise; when one ends there is room again."""
    async with (
        serve(EVERY_TYPE, ServerOptions(streams_per_host=1, drain_seconds=0.1)) as running,
        channel_to(running.address) as channel,
    ):
        first = stream(channel)
        await first.send(CLUSTER, node="n")
        await first.receive()
        refused = await refusal_of(stream(channel))
        assert refused.code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "--xds-streams-per-host" in refused.details
        first.cancel()
        await eventually(lambda: not len(running.clients))
        third = stream(channel)
        await third.send(CLUSTER, node="n")
        assert (await third.receive()).resources[0].name == "one"


async def test_a_request_over_the_size_limit_ends_only_its_stream(serve: Serve) -> None:
    """RESOURCE_EXHAUSTED by gRPC itself; the server serves on."""
    async with (
        serve(EVERY_TYPE, ServerOptions(max_message_bytes=10_000, drain_seconds=0.1)) as running,
        channel_to(running.address) as channel,
    ):
        huge = stream(channel)
        await huge.send(CLUSTER, node="n", resource_names_subscribe=["x" * 20_000])
        with pytest.raises(StreamEnded) as ended:
            await huge.receive()
        assert ended.value.code is grpc.StatusCode.RESOURCE_EXHAUSTED
        small = stream(channel)
        await small.send(CLUSTER, node="n")
        assert (await small.receive()).resources[0].name == "one"


async def test_stopping_ends_streams_with_unavailable_and_within_the_bound() -> None:
    """A drain ends every stream so that clients reconnect elsewhere."""
    publisher, clients = Publisher(), Clients()
    publisher.publish(EVERY_TYPE)
    server = XdsServer(publisher, clients, "127.0.0.1:0", options=ServerOptions(drain_seconds=5.0))
    serving = server.serving()
    await serving.__aenter__()
    async with channel_to(f"127.0.0.1:{server.port}") as channel:
        call = stream(channel)
        await call.send(CLUSTER, node="n")
        await call.receive()
        async with asyncio.timeout(5):
            await serving.__aexit__(None, None, None)
        with pytest.raises(StreamEnded) as ended:
            await call.receive()
        assert ended.value.code is grpc.StatusCode.UNAVAILABLE


async def test_a_drain_takes_no_new_streams_and_does_not_wait_for_a_client_that_reads_nothing() -> None:
    """A response that nobody takes off the wire is given up when the bound is over."""
    publisher, clients = Publisher(), Clients()
    publisher.publish(target(resource(CLUSTER, "large", b"x" * 100_000_000)))
    server = XdsServer(publisher, clients, "127.0.0.1:0", options=ServerOptions(drain_seconds=0.5))
    serving = server.serving()
    await serving.__aenter__()
    address = f"127.0.0.1:{server.port}"
    async with channel_to(address) as channel, channel_to(address) as other:
        await stream(channel).send(CLUSTER, node="n")
        await eventually(lambda: any(one.types and one.types[0].sent for one in clients.snapshot()))
        before = stream(other)
        await before.send(ENDPOINT, node="m", resource_names_subscribe=["one"])
        await before.receive()
        stopping = asyncio.create_task(serving.__aexit__(None, None, None))
        await asyncio.sleep(0.1)
        assert not stopping.done()
        assert (await refusal_of(stream(other))).code is grpc.StatusCode.UNAVAILABLE
        async with asyncio.timeout(5):
            await stopping
        await eventually(lambda: not len(clients))


async def test_a_unix_socket_serves_and_is_closed_to_others(serve: Serve, tmp_path: Path) -> None:
    """Only the user and the group of the server may use the socket; a socket left by a killed server is replaced."""
    path = tmp_path / "xds.sock"
    for _ in range(2):
        async with serve(EVERY_TYPE, address=f"unix:{path}") as running, channel_to(running.address) as channel:
            assert stat.S_IMODE(path.stat().st_mode) == 0o660
            call = stream(channel)
            await call.send(CLUSTER, node="n")
            assert (await call.receive()).resources[0].name == "one"


async def test_an_address_in_use_is_an_error_that_helps(serve: Serve) -> None:
    """It names the address and the flag."""
    async with serve(EVERY_TYPE) as running:
        with pytest.raises(TransportError, match=rf"{running.address} cannot be opened.*--xds-address"):
            async with serve(EVERY_TYPE, address=running.address):
                pass


async def test_the_health_service_says_serving(serve: Serve) -> None:
    """As gRPC load balancers and probes ask it."""
    async with serve(EVERY_TYPE) as running, channel_to(running.address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        for name in ("", SERVICES[0].name):
            answer = await stub.Check(health_pb2.HealthCheckRequest(service=name))
            assert answer.status == health_pb2.HealthCheckResponse.SERVING


@pytest.mark.parametrize("on", [True, False], ids=["with the flag", "without the flag"])
async def test_reflection_lists_the_services_only_where_asked_for(serve: Serve, *, on: bool) -> None:
    """It is off unless `--xds-reflection` is given."""
    async with (
        serve(EVERY_TYPE, ServerOptions(reflection=on, drain_seconds=0.1)) as running,
        channel_to(running.address) as channel,
    ):
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        if not on:
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await stub.ServerReflectionInfo().read()  # nothing is written to it: that may fail first, otherwise
            assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED
            return
        call = stub.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(list_services="")]))
        names = {service.name for service in (await call.read()).list_services_response.service}
        assert {service.name for service in SERVICES} <= names


async def test_a_client_that_comes_back_to_reject_the_same_again_is_in_the_log_once(serve: Serve) -> None:
    """Each stream is told again, because each may be another program; people are told once."""
    async with serve(EVERY_TYPE) as running, channel_to(running.address) as channel:
        with structlog.testing.capture_logs() as logs:
            for nacks in (1, 2):
                call = stream(channel)
                await call.send(CLUSTER, node="n")
                nonce = (await call.receive()).nonce
                await call.send(CLUSTER, response_nonce=nonce, error_detail={"message": "one: it is bad"})
                await eventually(lambda count=nacks: running.clients.responses()[CLUSTER, "nacked"] == count)  # type: ignore[misc]
                call.cancel()
                await eventually(lambda: not len(running.clients))
    assert [line["resources"] for line in logs if line["log_level"] == "warning"] == [["one"]]


async def _status(channel: Any, **request: Any) -> Any:
    stub = csds_pb2_grpc.ClientStatusDiscoveryServiceStub(channel)
    return await stub.FetchClientStatus(csds_pb2.ClientStatusRequest(**request))


async def test_csds_tells_per_client_and_resource_what_is_synced_and_what_was_rejected(serve: Serve) -> None:
    """ACK gives SYNCED, no answer yet STALE, a NACK ERROR with the client's text, no such resource NOT_SENT."""
    clusters = target(resource(CLUSTER, "good"), resource(CLUSTER, "bad"), resource(ENDPOINT, "good"))
    async with serve(clusters) as running, channel_to(running.address) as channel:
        call = stream(channel)
        await call.send(CLUSTER, node="node-1")
        await call.receive()
        nack = pb.DeltaDiscoveryRequest(type_url=CLUSTER, response_nonce="1")
        nack.error_detail.code, nack.error_detail.message = 13, "cluster bad: no such type"
        await call.send_bytes(nack.SerializeToString())
        again = await call.receive()
        await call.send(CLUSTER, response_nonce=again.nonce)
        await call.send(ENDPOINT, resource_names_subscribe=["good", "none"])
        await call.receive()
        (config,) = (await _status(channel)).config
        found = {(one.type_url, one.name): (one.config_status, one.client_status) for one in config.generic_xds_configs}
        expected: dict[Key, tuple[int, int]] = {
            (CLUSTER, "good"): (csds_pb2.SYNCED, states.ACKED),
            (CLUSTER, "bad"): (csds_pb2.ERROR, states.NACKED),
            (ENDPOINT, "good"): (csds_pb2.STALE, states.REQUESTED),
            (ENDPOINT, "none"): (csds_pb2.NOT_SENT, states.DOES_NOT_EXIST),
        }
        assert found == expected
        assert [one.error_state.details for one in config.generic_xds_configs if one.name == "bad"] == [
            "cluster bad: no such type"
        ]
        assert config.node.id == "node-1"


async def test_csds_shows_an_agents_words_for_each_redirect(serve: Serve) -> None:
    """What is not installed is the agent's own business, and shown as its own words (DESIGN 3.4)."""
    redirects = target(resource(REDIRECT, "shop/web/80"), resource(REDIRECT, "shop/api/80"))
    async with serve(redirects) as running, channel_to(running.address) as channel:
        call = stream(channel)
        await call.send(REDIRECT, node="agent~node-1", resource_names_subscribe=["*"])
        response = await call.receive()
        nack = pb.DeltaDiscoveryRequest(type_url=REDIRECT, response_nonce=response.nonce)
        nack.error_detail.message = "shop/web/80: waiting for listener shop/web/http@18243"
        await call.send_bytes(nack.SerializeToString())
        await eventually(lambda: bool(running.clients.snapshot()[0].types[0].postponed))
        (config,) = (await _status(channel)).config
        found = {one.name: (one.config_status, one.client_status) for one in config.generic_xds_configs}
        assert found == {
            "shop/web/80": (csds_pb2.ERROR, states.NACKED),
            "shop/api/80": (csds_pb2.SYNCED, states.ACKED),
        }
        (words,) = {one.error_state.details for one in config.generic_xds_configs} - {""}
        assert words == "waiting for listener shop/web/http@18243"


async def test_csds_chooses_clients_by_node_id(serve: Serve) -> None:
    """Matchers as the API has them; metadata matchers are refused with a sentence."""
    async with serve(EVERY_TYPE) as running, channel_to(running.address) as channel:
        for node in ("edge-1", "edge-2"):
            call = stream(channel)
            await call.send(CLUSTER, node=node)
            await call.receive()
        for matcher, expected in (
            ({"exact": "edge-1"}, ["edge-1"]),
            ({"prefix": "edge"}, ["edge-1", "edge-2"]),
            ({"suffix": "-2"}, ["edge-2"]),
            ({"contains": "DGE-1", "ignore_case": True}, ["edge-1"]),
            ({"safe_regex": {"regex": "edge-[2-9]"}}, ["edge-2"]),
            ({"safe_regex": {"regex": "("}}, []),
        ):
            answer = await _status(channel, node_matchers=[{"node_id": matcher}])
            assert [config.node.id for config in answer.config] == expected
        with pytest.raises(grpc.aio.AioRpcError, match="node_id only"):
            await _status(channel, node_matchers=[{"node_metadatas": [{"path": [{"key": "a"}]}]}])


async def test_csds_shows_contents_but_never_those_of_secrets(serve: Serve) -> None:
    """A private key is nobody's status (DESIGN 3.8)."""
    pushed = target(resource(SECRET, "s", b"PRIVATE"), resource(CLUSTER, "c", b"cluster"))
    async with serve(pushed) as running, channel_to(running.address) as channel:
        call = stream(channel)
        for type_url in (SECRET, CLUSTER):
            await call.send(type_url, node="n", resource_names_subscribe=["s"] if type_url == SECRET else ["c"])
            response = await call.receive()
            await call.send(type_url, response_nonce=response.nonce)
        await eventually(lambda: all(one.synced for one in running.clients.snapshot()[0].types))
        answer = await _status(channel)
        contents = {one.name: one.xds_config.value for one in answer.config[0].generic_xds_configs}
        assert contents == {"s": b"", "c": b"cluster"}
        assert b"PRIVATE" not in answer.SerializeToString()
        bare = await _status(channel, exclude_resource_contents=True)
        assert {one.xds_config.value for one in bare.config[0].generic_xds_configs} == {b""}
