"""``nodegate agent``: the redirect agent of a node."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import click

from nodegate import settings as s
from nodegate.cli.flags import flag
from nodegate.errors import UsageError

_FILE = click.Path(path_type=Path, dir_okay=False)
_FOLDER = click.Path(path_type=Path, file_okay=False)


@click.command()
@flag("--mode", type=click.Choice(["auto", "ebpf", "nftables", "iptables"]), default="auto", help="How to redirect.")
@flag(
    "--xds-address",
    multiple=True,
    default=(s.XDS_ADDRESS,),
    metavar="ADDRESS",
    help="The control plane, HOST:PORT or unix:PATH; several times for its replicas.",
)
@flag("--node-name", default=socket.gethostname, show_default="this host's name", help="The Kubernetes node's name.")
@flag("--node-id", default="", show_default="agent~ and the node's name", help="The agent's node id.")
@flag("--xds-ca", type=_FILE, metavar="FILE", help="CA of the control plane's certificate: TLS.")
@flag("--xds-server-name", default="", show_default="the host of --xds-address", help="Whose certificate it has to be.")
@flag("--xds-client-certificate", type=_FILE, metavar="FILE", help="The node's own certificate; it names the node.")
@flag("--xds-client-key", type=_FILE, metavar="FILE", help="The key of the node's own certificate.")
@flag("--http-address", default=s.AGENT_HTTP_ADDRESS, metavar="HOST:PORT", help="Serves /healthz, /readyz, /metrics.")
@flag("--debug-address", default=s.AGENT_DEBUG_ADDRESS, metavar="HOST:PORT", help="Serves /debug/; keep it local.")
@flag("--state-dir", type=_FOLDER, metavar="DIR", help="Keeps what the control plane asked for.")
@flag("--iptables-backend", type=click.Choice(["auto", "nft", "legacy"]), default="auto", help="auto: the node's own.")
@flag("--bpf-object", type=_FILE, metavar="FILE", show_default="nodegate's own", help="The compiled eBPF program.")
@flag("--bpf-folder", type=_FOLDER, default=Path("/run/nodegate/bpf"), help="Where program and maps are pinned.")
@click.option("--cleanup", is_flag=True, help="Remove everything that agents ever put into this kernel, and end.")
@flag("--log-format", type=click.Choice(s.LOG_FORMATS), default="auto", help="auto: console on a terminal, else json.")
@flag("--log-level", type=click.Choice(s.LOG_LEVELS), default="info", help="The least severe lines to write.")
def agent(  # noqa: PLR0913  # one argument for each flag is click's way
    *,
    mode: str,
    xds_address: tuple[str, ...],
    node_name: str,
    node_id: str,
    xds_ca: Path | None,
    xds_server_name: str,
    xds_client_certificate: Path | None,
    xds_client_key: Path | None,
    http_address: str,
    debug_address: str,
    state_dir: Path | None,
    iptables_backend: str,
    bpf_object: Path | None,
    bpf_folder: Path,
    cleanup: bool,
    log_format: str,
    log_level: str,
) -> None:
    """Run the redirect agent: steer the traffic of Services to the listeners of this node's Envoy.

    It stops at SIGTERM or SIGINT and leaves everything in place, so nothing is cut; a new one goes on from there.
    """
    if not node_name:
        raise UsageError("--node-name is empty. Give the name that this node has in Kubernetes.")
    settings = s.AgentSettings(
        node_name=node_name,
        node_id=node_id or f"agent~{node_name}",
        xds_addresses=tuple(s.parse_address(one, "--xds-address") for one in xds_address),
        tls=_tls(xds_ca, xds_server_name, xds_client_certificate, xds_client_key),
        mode=mode,
        iptables_backend=None if iptables_backend == "auto" else iptables_backend,
        bpf_object=bpf_object,
        bpf_folder=bpf_folder,
        state_dir=state_dir,
        http_address=s.parse_tcp(http_address, "--http-address"),
        debug_address=s.parse_tcp(debug_address, "--debug-address", default_host="127.0.0.1"),
    )
    from nodegate import logs  # noqa: PLC0415  # grpc and the Envoy API take a second to import
    from nodegate.app import agent as app  # noqa: PLC0415

    logs.configure(log_format, log_level)
    if cleanup:
        click.echo("\n".join(app.clean_up(settings)) or "There was nothing of nodegate's in this kernel.")
    else:
        asyncio.run(app.run_agent(settings))


def _tls(ca: Path | None, server_name: str, certificate: Path | None, key: Path | None) -> s.AgentTls | None:
    """Check that what belongs together is given together."""
    if (certificate is None) != (key is None):
        raise UsageError("--xds-client-certificate and --xds-client-key belong together. Give both, or neither.")
    if ca is not None:
        return s.AgentTls(ca=ca, server_name=server_name, certificate=certificate, key=key)
    if server_name or certificate:
        raise UsageError("TLS needs --xds-ca: without it the agent could not tell the control plane from anybody else.")
    return None
