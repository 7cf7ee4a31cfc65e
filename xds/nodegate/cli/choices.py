"""The flags that decide what is made of objects: the same for ``serve``, ``translate`` and ``lint``."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import click

from nodegate import settings as s
from nodegate.cli.flags import flag

_PORT = click.IntRange(1, 65_535)

_FLAGS = (
    flag("--ingress-class", default="", metavar="NAME", help="Serve this one of our classes only."),
    flag(
        "--listener-mode",
        type=click.Choice(["dedicated", "shared"]),
        show_default="dedicated, or shared with --expose host",
        help="Listeners for each Ingress, or one pair for all.",
    ),
    flag(
        "--expose",
        type=click.Choice(["redirect", "host"]),
        default="redirect",
        help="host: the shared listeners bind --http-port and --https-port on the node, and no agent is needed.",
    ),
    flag("--http-port", type=_PORT, default=80, help="With --expose host."),
    flag("--https-port", type=_PORT, default=443, help="With --expose host."),
    flag(
        "--address-family",
        type=click.Choice(["ipv4", "ipv6", "dual"]),
        default="ipv4",
        help="The addresses listeners bind.",
    ),
    flag(
        "--default-certificate",
        default="",
        metavar="NAMESPACE/SECRET",
        help="For TLS clients whose host no Ingress has a certificate for; shared listeners make one up without it.",
    ),
    flag(
        "--default-backend",
        default="",
        metavar="NAMESPACE/SERVICE:PORT",
        help="Answers what no Ingress serves; otherwise that is a 404.",
    ),
    flag(
        "--publish-service",
        default=s.PUBLISH_SERVICE,
        metavar="NAMESPACE/SERVICE",
        help="The Service by which clients reach shared listeners.",
    ),
    flag("--external-names/--no-external-names", default=False, help="Allow Services of type ExternalName."),
    flag(
        "--trusted-hops",
        type=click.IntRange(0),
        default=0,
        help="Proxies in front of Envoy that write X-Forwarded-For.",
    ),
    flag("--proxy-protocol/--no-proxy-protocol", default=False, help="Expect the PROXY protocol on every connection."),
    flag(
        "--escaped-slashes",
        type=click.Choice(["reject", "redirect", "keep"]),
        default="reject",
        help="What happens to paths with %2F or %5C.",
    ),
    flag("--access-log/--no-access-log", default=False, help="Envoy writes a line of JSON for every request."),
)


def translation_flags(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the flags to a command, which gets them as one :class:`TranslationSettings`, ``translation``."""

    @wraps(command)
    def collected(**values: Any) -> Any:
        names = s.TranslationSettings.__struct_fields__
        chosen = {name: values.pop(name) for name in names}
        chosen["default_certificate"] = s.parse_secret_name(chosen["default_certificate"])
        chosen["default_backend"] = s.parse_backend(chosen["default_backend"])
        chosen["publish_service"] = s.parse_service_name(chosen["publish_service"])
        chosen["listener_mode"] = chosen["listener_mode"] or ("shared" if chosen["expose"] == "host" else "dedicated")
        return command(translation=s.TranslationSettings(**chosen), **values)

    decorated: Callable[..., Any] = collected
    for one in reversed(_FLAGS):
        decorated = one(decorated)
    return decorated
