"""``nodegate completion SHELL``: the script that completes our commands and flags."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    r"""Print a script that completes nodegate's commands and flags.

    \b
    bash:  source <(nodegate completion bash)
    zsh:   source <(nodegate completion zsh)
    fish:  nodegate completion fish | source
    """
    scripts = get_completion_class(shell)
    if scripts is None:  # pragma: no cover  # click has all three
        raise click.UsageError(f"There is no completion for {shell}.")
    click.echo(scripts(ctx.find_root().command, {}, "nodegate", "_NODEGATE_COMPLETE").source())
