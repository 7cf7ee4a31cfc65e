"""The command ``nodegate demo``."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import click

from nodegate import logs
from nodegate.demo.envoy_binary import ENVIRONMENT, find_envoy
from nodegate.demo.example import bookinfo_folder


@click.command()
@click.option(
    "--envoy",
    type=click.Path(path_type=Path),
    envvar=ENVIRONMENT,
    show_envvar=True,
    help="Envoy to run; without it, one is downloaded once into your cache folder.",
)
@click.option(
    "--examples",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of manifests to serve and to follow; the BookInfo example without it.",
)
@click.option("--sotw", is_flag=True, help="Let Envoy ask for the state of the world instead of differences.")
@click.option(
    "--log-level", type=click.Choice(logs.LEVELS), default="warning", show_default=True, help="How much to log."
)
def demo(envoy: Path | None, examples: Path | None, sotw: bool, log_level: str) -> None:  # noqa: FBT001 - click's way
    """Serve the BookInfo example on this machine, through a real Envoy.

    Starts two small backends, the control plane on a folder of manifests, and Envoy; needs no Kubernetes and no root.
    Prints what to curl, follows edits of the manifests, and stops everything on Ctrl-C.
    """
    logs.configure("console", log_level)
    from nodegate.demo.stage import Stage, perform  # noqa: PLC0415  # what it imports takes a second

    stage = Stage(_shown(examples or bookinfo_folder()), find_envoy(envoy), sotw, click.echo)
    asyncio.run(perform(stage))
    click.echo("Stopped. Nothing is left running.")


def _shown(folder: Path) -> Path:
    """Return the folder as short as it can be named from here."""
    relative = os.path.relpath(folder)
    return Path(relative) if not relative.startswith("..") else folder.resolve()
