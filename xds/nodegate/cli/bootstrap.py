"""``nodegate bootstrap``: what an Envoy is started with."""

from __future__ import annotations

import socket

import click

from nodegate import settings as s
from nodegate.bootstrap import BootstrapSettings, XdsTls
from nodegate.bootstrap import bootstrap as make
from nodegate.cli.flags import OUTPUTS, flag, output_flag, render
from nodegate.errors import UsageError


@click.command()
@flag("--xds-address", default=s.XDS_ADDRESS, metavar="ADDRESS", help="The control plane: HOST:PORT or unix:PATH.")
@flag("--node-name", default=socket.gethostname, show_default="this host's name", help="The Kubernetes node's name.")
@flag("--node-id", default="", show_default="the node's name", help="Envoy's node id.")
@flag("--cluster", default="nodegate", help="Envoy's service cluster.")
@flag("--zone", default="", help="The node's zone: its label topology.kubernetes.io/zone.")
@flag("--admin-address", default="127.0.0.1:9901", metavar="ADDRESS", help="Envoy's admin: HOST:PORT or unix:PATH.")
@flag("--redirect/--no-redirect", default=False, help="The node's agent steers traffic here; takes NET_ADMIN.")
@flag("--sotw/--delta", default=False, help="State of the world instead of incremental xDS.")
@flag("--xds-ca", default="", metavar="FILE", help="CA of the control plane's certificate: TLS.")
@flag("--xds-server-name", default="", show_default="the host of --xds-address", help="Whose certificate it has to be.")
@flag("--xds-client-certificate", default="", metavar="FILE", help="Envoy's own certificate; it names the node.")
@flag("--xds-client-key", default="", metavar="FILE", help="The key of Envoy's own certificate.")
@flag("--max-connections", default=50_000, type=click.IntRange(min=1), help="Most client connections of this Envoy.")
@output_flag(*OUTPUTS)
def bootstrap(  # noqa: PLR0913  # one argument for each flag is click's way
    *,
    xds_address: str,
    node_name: str,
    node_id: str,
    cluster: str,
    zone: str,
    admin_address: str,
    redirect: bool,
    sotw: bool,
    xds_ca: str,
    xds_server_name: str,
    xds_client_certificate: str,
    xds_client_key: str,
    max_connections: int,
    output: str,
) -> None:
    """Print a bootstrap for an Envoy that takes its whole configuration from this control plane.

    With it, an Envoy serves what it last got while no control plane answers, is back on its stream within seconds
    when one does, and does not call itself ready before it has been given its configuration once.

    Files are named as Envoy finds them where it runs; it reads them at its start.
    """
    address = s.parse_address(xds_address, "--xds-address")
    made = make(
        BootstrapSettings(
            xds_address=address,
            node_name=node_name,
            node_id=node_id,
            cluster=cluster,
            zone=zone,
            admin_address=s.parse_address(admin_address, "--admin-address", default_host="127.0.0.1"),
            redirect=redirect,
            sotw=sotw,
            tls=_tls(address, xds_ca, xds_server_name, xds_client_certificate, xds_client_key),
            max_connections=max_connections,
        )
    )
    click.echo(render(made, output), nl=False)


def _tls(address: s.Address, ca: str, server_name: str, certificate: str, key: str) -> XdsTls | None:
    """Check that what belongs together is given together."""
    if bool(certificate) != bool(key):
        raise UsageError("--xds-client-certificate and --xds-client-key belong together. Give both, or neither.")
    if not ca:
        if server_name or certificate:
            raise UsageError("TLS needs --xds-ca: without it Envoy could not tell the control plane from anybody else.")
        return None
    if isinstance(address, s.UnixAddress):
        raise UsageError("--xds-ca is for a TCP address: a Unix socket is not secured by TLS. Leave it out.")
    return XdsTls(ca=ca, server_name=server_name or address.host, certificate=certificate, key=key)
