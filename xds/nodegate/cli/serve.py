"""``nodegate serve``: the control plane."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click
from msgspec.structs import replace

from nodegate import settings as s
from nodegate.cli.choices import translation_flags
from nodegate.cli.flags import flag
from nodegate.cli.lease import lease_flags

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command()
@flag("--source", required=True, metavar="DIR|kubernetes", help="A folder of manifests, or the Kubernetes API.")
@flag("--kubeconfig", default="", metavar="FILE", help="Instead of what kubectl would read, or the Pod's own cluster.")
@flag("--context", default="", metavar="NAME", help="A context of the kubeconfig, instead of its current one.")
@flag("--watch-namespace", multiple=True, metavar="NAME", help="Only this namespace; may be given several times.")
@lease_flags
@flag("--xds-address", default=s.XDS_ADDRESS, metavar="ADDRESS", help="Where proxies connect: HOST:PORT or unix:PATH.")
@flag("--http-address", default=s.HTTP_ADDRESS, metavar="HOST:PORT", help="Serves /healthz, /readyz and /metrics.")
@flag("--debug-address", default=s.DEBUG_ADDRESS, metavar="HOST:PORT", help="Serves /debug/; keep it on loopback.")
@flag("--state-dir", type=click.Path(path_type=Path), metavar="DIR", help="Keeps ports and the last good objects.")
@flag("--state-secrets/--no-state-secrets", default=False, help="Keep private keys in the state folder, too.")
@flag("--xds-certificate", type=_FILE, metavar="FILE", help="PEM certificate chain of the xDS endpoint: TLS.")
@flag("--xds-key", type=_FILE, metavar="FILE", help="PEM private key of the certificate.")
@flag("--xds-client-ca", type=_FILE, metavar="FILE", help="Let only proxies in whose certificate this CA signed.")
@flag("--insecure-xds/--no-insecure-xds", default=False, help="Send private keys to proxies that prove nothing.")
@flag("--xds-reflection/--no-xds-reflection", default=False, help="Let gRPC tools ask for the services.")
@flag("--xds-streams-per-host", type=click.IntRange(min=0), default=0, help="Most streams of one peer; 0: any number.")
@flag("--xds-ttl", type=click.FloatRange(min=0), default=0.0, help="Seconds a proxy without us keeps all; 0: for ever.")
@flag("--redirect-grace", type=click.FloatRange(min=0), default=10.0, help="Seconds a listener outlives its redirect.")
@translation_flags
@flag("--log-format", type=click.Choice(s.LOG_FORMATS), default="auto", help="auto: console on a terminal, else json.")
@flag("--log-level", type=click.Choice(s.LOG_LEVELS), default="info", help="The least severe lines to write.")
def serve(  # noqa: PLR0913  # one argument for each flag is click's way
    *,
    source: str,
    kubeconfig: str,
    context: str,
    watch_namespace: tuple[str, ...],
    xds_address: str,
    http_address: str,
    debug_address: str,
    state_dir: Path | None,
    state_secrets: bool,
    xds_certificate: Path | None,
    xds_key: Path | None,
    xds_client_ca: Path | None,
    insecure_xds: bool,
    xds_reflection: bool,
    xds_streams_per_host: int,
    xds_ttl: float,
    redirect_grace: float,
    translation: s.TranslationSettings,
    lease: s.LeaseSettings,
    log_format: str,
    log_level: str,
) -> None:
    """Run the control plane: read objects, translate them, and stream the result to every Envoy over ADS.

    Runs until SIGTERM or SIGINT. Changes are followed live; a file that stops parsing keeps what it said before, and
    while the Kubernetes API is gone everything known goes on being served.
    """
    access = s.KubernetesAccess(kubeconfig=kubeconfig, context=context, namespaces=watch_namespace)
    security = s.parse_xds_security(xds_certificate, xds_key, xds_client_ca)
    settings = s.ServeSettings(
        source=s.parse_source(source, state_dir, access),
        xds_address=s.parse_address(xds_address, "--xds-address"),
        http_address=s.parse_tcp(http_address, "--http-address"),
        debug_address=s.parse_tcp(debug_address, "--debug-address", default_host="127.0.0.1"),
        state_dir=state_dir,
        state_secrets=state_secrets,
        translation=translation,
        redirect_grace=redirect_grace,
        xds_ttl=xds_ttl,
        lease=lease,
        xds_security=replace(
            security, insecure=insecure_xds, reflection=xds_reflection, streams_per_host=xds_streams_per_host
        ),
    )
    from nodegate import logs  # noqa: PLC0415  # what takes long to import
    from nodegate.app.serve import serve as run  # noqa: PLC0415

    logs.configure(log_format, log_level)
    asyncio.run(run(settings))
