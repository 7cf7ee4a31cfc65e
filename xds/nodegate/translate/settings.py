"""What the person who runs nodegate decides about translation, the same for all objects."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

CONTROLLER = "nodegate.dev/ingress-controller"
"""The controller name an IngressClass must carry for its Ingresses to be ours (DESIGN 5)."""

CLASS_WITHOUT_OBJECTS = "nodegate"
"""The class name that is ours in a cluster or folder without any IngressClass object (DESIGN 5)."""


class ListenerMode(StrEnum):
    """Whether each Ingress has listeners of its own, or all share one pair."""

    DEDICATED = "dedicated"
    SHARED = "shared"


class Expose(StrEnum):
    """How clients reach listeners: by a redirect of Service traffic, or because the shared ones bind the node."""

    REDIRECT = "redirect"
    HOST = "host"


class Families(StrEnum):
    """The addresses listeners bind."""

    IPV4 = "ipv4"
    IPV6 = "ipv6"
    DUAL = "dual"


class EscapedSlashes(StrEnum):
    """What happens to a path with ``%2F`` or ``%5C``, which routes and applications may read differently."""

    REJECT = "reject"
    REDIRECT = "redirect"
    KEEP = "keep"


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A certificate chain and its key, both PEM. The key never shows in ``repr``."""

    certificate: bytes
    key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of translation; a function of these and the objects alone is what ``step`` computes.

    ``ingress_class`` narrows to that one of our classes; None serves all of them. ``http_port`` and ``https_port``
    are what the shared listeners bind when ``expose`` is ``host``. TLS clients whose name no certificate is declared
    for get the one of the Secret ``default_certificate`` (namespace, name), else ``self_signed``; without either they
    are refused. ``default_backend`` (namespace, Service, port) answers what no Ingress serves; else that is a 404.
    ``external_names`` allows Services of type ExternalName. ``trusted_hops`` is how many proxies in front of Envoy
    write X-Forwarded-For. ``publish_service`` (namespace, name) is the Service by which clients reach the shared
    listeners where they are redirected. ``proxy_protocol`` expects the PROXY protocol's header on every connection.
    """

    ingress_class: str | None = None
    listener_mode: ListenerMode = ListenerMode.DEDICATED
    expose: Expose = Expose.REDIRECT
    http_port: int = 80
    https_port: int = 443
    families: Families = Families.IPV4
    default_certificate: tuple[str, str] | None = None
    self_signed: KeyPair | None = None
    default_backend: tuple[str, str, str] | None = None
    external_names: bool = False
    trusted_hops: int = 0
    proxy_protocol: bool = False
    escaped_slashes: EscapedSlashes = EscapedSlashes.REJECT
    access_log: bool = False
    publish_service: tuple[str, str] = ("nodegate-system", "nodegate")
