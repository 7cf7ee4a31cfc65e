"""The flags of the Lease by which replicas agree on who writes to a cluster."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import click

from nodegate import settings as s
from nodegate.cli.flags import flag

_SHORTEST, _LONGEST = 2, 3_600

_FLAGS = (
    flag("--lease-namespace", default="", metavar="NAME", help="Where the Lease of the replica that writes is kept."),
    flag("--lease-name", default="nodegate", metavar="NAME", help="Different for each class, where several run."),
    flag("--lease-identity", default="", metavar="NAME", help="This replica's name; made up when not given."),
    flag(
        "--lease-seconds",
        type=click.IntRange(_SHORTEST, _LONGEST),
        default=15,
        help="How long another replica waits before it takes over from one that died.",
    ),
)


def lease_flags(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the flags to a command, which gets them as one :class:`LeaseSettings`, ``lease``."""

    @wraps(command)
    def collected(**values: Any) -> Any:
        chosen = {name: values.pop(f"lease_{name}") for name in s.LeaseSettings.__struct_fields__}
        return command(lease=s.LeaseSettings(**chosen), **values)

    decorated: Callable[..., Any] = collected
    for one in reversed(_FLAGS):
        decorated = one(decorated)
    return decorated
