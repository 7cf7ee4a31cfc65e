"""What the commands of all benchmarks have in common."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from statistics import median

import click

from nodegate.errors import NodegateError


def run(command: click.Command, *errors: type[Exception]) -> None:
    """Run a command; what is wrong on this machine, one of ours or of ``errors``, ends it with a sentence."""
    expected: tuple[type[Exception], ...] = (NodegateError, *errors)
    try:
        command.main(standalone_mode=False)
    except expected as error:
        sys.exit(f"bench: {error}")
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)


def medians(runs: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the median of each figure; all runs have the same ones."""
    return {key: median(one[key] for one in runs) for key in runs[0]}
