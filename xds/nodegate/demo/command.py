"""The command ``nodegate demo``."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nodegate import logs
from nodegate.demo.envoy_binary import ENVIRONMENT, find_envoy
from nodegate.demo.example import bookinfo_folder, redirect_folder
from nodegate.demo.network import MODES, Network, require_root
from nodegate.errors import UsageError

if TYPE_CHECKING:
    from nodegate.demo.stage import Node


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
@click.option(
    "--redirect",
    type=click.Choice(MODES),
    help="As root: on a node with Pods and a client of their own networks, with the redirect agent in this mode.",
)
@click.option("--sotw", is_flag=True, help="Let Envoy ask for the state of the world instead of differences.")
@click.option(
    "--log-level", type=click.Choice(logs.LEVELS), default="warning", show_default=True, help="How much to log."
)
def demo(envoy: Path | None, examples: Path | None, redirect: str | None, sotw: bool, log_level: str) -> None:  # noqa: FBT001 - click's way
    """Serve the BookInfo example on this machine, through a real Envoy.

    Starts two small backends, the control plane on a folder of manifests, and Envoy; needs no Kubernetes and no root.
    Prints what to curl, follows edits of the manifests, and stops everything on Ctrl-C. With --redirect it shows how
    traffic to a cluster IP and to a NodePort gets to Envoy.
    """
    logs.configure("console", log_level)
    if redirect:
        require_root()
    binary = find_envoy(envoy)
    node = _node(redirect) if redirect else None  # takes a process without threads, so before the import
    from nodegate.demo.stage import Stage, perform  # noqa: PLC0415  # what it imports takes a second

    folder = examples or (redirect_folder() if redirect else bookinfo_folder())
    stage = Stage(_shown(folder), binary, sotw, click.echo, node)
    asyncio.run(perform(stage))
    click.echo("Stopped. Nothing is left running.")


def _node(mode: str) -> Node:
    """Make this process a node that redirects in this mode."""
    network = Network()
    try:
        from nodegate.demo.redirected import Redirected  # noqa: PLC0415  # takes what only agents need
    except ModuleNotFoundError as error:
        raise UsageError(
            f"There is no {error.name}, which the agent needs. Run: pip install 'nodegate[agent]'."
        ) from error
    return Redirected(network, mode)


def _shown(folder: Path) -> Path:
    """Return the folder as short as it can be named from here."""
    relative = os.path.relpath(folder)
    return Path(relative) if not relative.startswith("..") else folder.resolve()
