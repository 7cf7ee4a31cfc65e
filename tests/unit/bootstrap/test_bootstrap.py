"""What an Envoy is started with."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from envoy.config.bootstrap.v3.bootstrap_pb2 import Bootstrap
from envoy.extensions.resource_monitors.downstream_connections.v3 import downstream_connections_pb2 as _connections
from envoy.extensions.transport_sockets.tls.v3 import tls_pb2 as _tls
from envoy.extensions.upstreams.http.v3 import http_protocol_options_pb2 as _options
from google.protobuf.json_format import ParseDict
from msgspec.structs import replace

from nodegate.bootstrap import BootstrapSettings, XdsTls, bootstrap
from nodegate.demo.envoy_binary import ENVIRONMENT, cached_envoy
from nodegate.settings import TcpAddress, UnixAddress
from tests.certificates import Authority

LOOPBACK = TcpAddress("127.0.0.1", 9900)
CASES = {
    "delta over IP": BootstrapSettings(xds_address=LOOPBACK, node_name="n1"),
    "state of the world": BootstrapSettings(xds_address=LOOPBACK, node_name="n1", sotw=True),
    "DNS name": BootstrapSettings(xds_address=TcpAddress("nodegate.svc", 9900), node_name="n1", zone="a"),
    "IPv6": BootstrapSettings(xds_address=TcpAddress("::1", 9900), node_name="n1"),
    "Unix sockets": BootstrapSettings(
        xds_address=UnixAddress("/run/xds.sock"), node_name="n1", admin_address=UnixAddress("/run/admin.sock")
    ),
    "redirect": BootstrapSettings(xds_address=LOOPBACK, node_name="n1", redirect=True),
}


def made(case: str) -> Any:
    """Return the bootstrap of a case, as Envoy's own message: unknown fields are errors."""
    assert _connections
    assert _options
    return ParseDict(bootstrap(CASES[case]), Bootstrap())


@pytest.mark.parametrize("case", CASES)
def test_it_is_a_bootstrap_of_the_envoy_api(case: str) -> None:
    """Every field is one of the API."""
    assert made(case).node.id == "n1"


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_envoy_accepts_it(case: str, tmp_path: Path) -> None:
    """``envoy --mode validate`` finds nothing wrong, and nothing that is going to be."""
    require_valid(CASES[case], tmp_path)


def require_valid(settings: BootstrapSettings, folder: Path) -> None:
    """Let Envoy look at a bootstrap."""
    envoy = cached_envoy()
    if envoy is None:
        pytest.skip(f"no Envoy: run `python -m nodegate.demo.envoy_binary` to install one, or set {ENVIRONMENT}")
    path = folder / "envoy.json"
    path.write_text(json.dumps(bootstrap(settings)))
    done = subprocess.run(
        [envoy, "--mode", "validate", "-c", path, "-l", "warning"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "deprecated" not in done.stderr.lower()


@pytest.fixture
def tls(tmp_path: Path) -> XdsTls:
    """Return real files: Envoy reads them when it validates."""
    authority = Authority()
    certificate, key = authority.sign("n1").write(tmp_path, "n1")
    (tmp_path / "ca.crt").write_bytes(authority.pem)
    return XdsTls(ca=f"{tmp_path}/ca.crt", server_name="nodegate.svc", certificate=str(certificate), key=str(key))


@pytest.mark.slow
@pytest.mark.parametrize("server_name", ["nodegate.svc", "192.0.2.7"])
def test_envoy_accepts_tls_to_the_control_plane(tls: XdsTls, server_name: str, tmp_path: Path) -> None:
    """By name and by address."""
    require_valid(replace(CASES["DNS name"], tls=replace(tls, server_name=server_name)), tmp_path)


def test_with_tls_only_the_named_control_plane_is_believed(tls: XdsTls) -> None:
    """Any other certificate of the same CA, such as that of another node, is not enough."""
    config = ParseDict(bootstrap(replace(CASES["delta over IP"], tls=tls)), Bootstrap())
    context = _tls.UpstreamTlsContext()
    assert config.static_resources.clusters[0].transport_socket.typed_config.Unpack(context)
    assert context.sni == "nodegate.svc"
    (name,) = context.common_tls_context.validation_context.match_typed_subject_alt_names
    assert (name.SanType.Name(name.san_type), name.matcher.exact) == ("DNS", "nodegate.svc")
    assert context.common_tls_context.tls_certificates[0].certificate_chain.filename == tls.certificate


def test_delta_is_the_default_and_state_of_the_world_is_there_for_who_asks() -> None:
    """Delta costs a change what changed (xds-protocol finding 7)."""
    api = made("delta over IP").dynamic_resources.ads_config
    assert api.api_type == api.DELTA_GRPC
    assert made("state of the world").dynamic_resources.ads_config.api_type == api.GRPC


def test_everything_comes_over_the_one_stream() -> None:
    """Clusters and listeners come over ADS, so that their order is ours (xds-protocol 40)."""
    resources = made("delta over IP").dynamic_resources
    assert resources.cds_config.HasField("ads")
    assert resources.lds_config.HasField("ads")
    assert resources.ads_config.set_node_on_first_message_only


def test_envoy_is_not_ready_before_it_has_its_configuration() -> None:
    """With a timeout it would call itself ready, and refuse every connection, while no control plane answers."""
    resources = made("delta over IP").dynamic_resources
    for config in (resources.cds_config, resources.lds_config):
        assert config.HasField("initial_fetch_timeout")
        assert config.initial_fetch_timeout.ToTimedelta().total_seconds() == 0


def test_envoy_is_back_within_seconds_of_a_restart() -> None:
    """Envoy's own default waits up to 30 s (xds-protocol 46)."""
    service = made("delta over IP").dynamic_resources.ads_config.grpc_services[0]
    assert service.envoy_grpc.retry_policy.retry_back_off.max_interval.ToTimedelta().total_seconds() <= 5


def test_a_dead_control_plane_is_noticed_without_a_packet_from_it() -> None:
    """A connection whose other end vanished is found by pings of HTTP/2."""
    (cluster,) = made("delta over IP").static_resources.clusters
    options = _options.HttpProtocolOptions()
    (packed,) = cluster.typed_extension_protocol_options.values()
    assert packed.Unpack(options)
    keepalive = options.explicit_http_config.http2_protocol_options.connection_keepalive
    assert keepalive.interval.seconds + keepalive.timeout.seconds <= 20
    assert cluster.upstream_connection_options.tcp_keepalive.keepalive_time.value == 30


@pytest.mark.parametrize(
    ("case", "discovery"),
    [("delta over IP", "STATIC"), ("IPv6", "STATIC"), ("Unix sockets", "STATIC"), ("DNS name", "STRICT_DNS")],
)
def test_a_name_is_resolved_again_and_again_and_an_address_is_not(case: str, discovery: str) -> None:
    """The pods behind a name change."""
    (cluster,) = made(case).static_resources.clusters
    assert cluster.DiscoveryType.Name(cluster.type) == discovery


def test_a_unix_socket_is_a_pipe() -> None:
    """Both the control plane and the admin interface may be sockets in the file system."""
    config = made("Unix sockets")
    host = config.static_resources.clusters[0].load_assignment.endpoints[0].lb_endpoints[0]
    assert host.endpoint.address.pipe.path == "/run/xds.sock"
    assert config.admin.address.pipe.path == "/run/admin.sock"


def test_the_node_says_what_its_view_depends_on() -> None:
    """Node name, zone and transparency are in the metadata (DESIGN 2.2), the zone also where Envoy keeps it."""
    node = made("DNS name").node
    assert dict(node.metadata) == {
        "nodegate.dev/node": "n1",
        "nodegate.dev/zone": "a",
        "nodegate.dev/transparent": False,
    }
    assert node.locality.zone == "a"


def test_only_with_the_redirect_upstream_connections_are_marked() -> None:
    """Without the mark Envoy's own connections come back to it (redirect 13); setting it takes NET_ADMIN."""
    assert not made("delta over IP").HasField("cluster_manager")
    config = made("redirect")
    (option,) = config.cluster_manager.upstream_bind_config.socket_options
    assert (option.level, option.name, option.int_value) == (1, 36, 0xA00)
    assert config.node.metadata["nodegate.dev/transparent"] is True


def test_client_connections_are_limited() -> None:
    """Envoy warns about an edge without a limit, rightly."""
    (monitor,) = made("delta over IP").overload_manager.resource_monitors
    assert monitor.name == "envoy.resource_monitors.global_downstream_max_connections"


def test_the_admin_interface_is_on_loopback_unless_asked_otherwise() -> None:
    """It can stop Envoy."""
    assert made("delta over IP").admin.address.socket_address.address == "127.0.0.1"
