"""``nodegate`` itself: the group of all commands, each imported when it is used."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

import click

from nodegate import __version__
from nodegate.errors import NodegateError

COMMANDS = {
    "serve": ("nodegate.cli.serve", "Run the control plane."),
    "agent": ("nodegate.cli.agent", "Run the redirect agent of a node."),
    "demo": ("nodegate.demo.command", "Run everything on this machine, with a real Envoy."),
    "bootstrap": ("nodegate.cli.bootstrap", "Print an Envoy bootstrap that points here."),
    "translate": ("nodegate.cli.manifests", "Print what Envoy would be sent for a folder of manifests."),
    "lint": ("nodegate.cli.manifests", "Say what is wrong with a folder of manifests."),
    "completion": ("nodegate.cli.completion", "Print a shell completion script."),
}
"""Command -> the module that holds it under its own name, and the line that ``--help`` shows."""


class _Commands(click.Group):
    """Imports a command when it is asked for, and ends it with a sentence when nodegate itself raises."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands, in the order of the help."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        command = getattr(import_module(COMMANDS[cmd_name][0]), cmd_name)
        return command if isinstance(command, click.Command) else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands and their lines without importing them."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; an error of ours is a sentence on standard error and an exit status."""
        try:
            return super().invoke(ctx)
        except NodegateError as error:
            click.echo(f"nodegate: {error}", err=True)
            sys.exit(error.exit_code)


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
    epilog="Every flag is also an environment variable: --xds-address is NODEGATE_XDS_ADDRESS.",
)
@click.version_option(__version__, "--version", message="nodegate %(version)s")
def main() -> None:
    """Ingress for Kubernetes with one Envoy per node and no sidecars."""
