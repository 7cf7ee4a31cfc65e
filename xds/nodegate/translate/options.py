"""What annotations can say about an Ingress' routes and about a Service's cluster, as values."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple

from nodegate.translate.settings import ListenerMode


class RegexMode(StrEnum):
    """How ``ImplementationSpecific`` paths are read when they are regular expressions."""

    FULL = "full"
    PREFIX = "prefix"


class RedirectTo(NamedTuple):
    """Where every request is sent instead of to a backend; an empty part keeps that of the request."""

    scheme: str
    host: str
    port: int
    path: str


class RateLimit(NamedTuple):
    """At most ``requests`` in ``seconds`` for each route on each node."""

    requests: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Cors:
    """Which other sites' scripts may call; see the annotations of the same names."""

    origins: tuple[str, ...] = ()
    methods: str = "GET, PUT, POST, DELETE, PATCH, OPTIONS"
    headers: str = ""
    credentials: bool = False
    max_age: float = 86_400.0


Split = tuple[tuple[str, int], ...]
"""Services and their weights."""


@dataclass(frozen=True, slots=True)
class RouteOptions:
    """Everything an Ingress can ask for its routes beyond hosts, paths and backends. None: the default."""

    listener_mode: ListenerMode | None = None
    timeout: float = 0.0
    idle_timeout: float | None = None
    path_regex: RegexMode | None = None
    rewrite_prefix: str | None = None
    host_rewrite: str | None = None
    redirect_to: RedirectTo | None = None
    redirect_code: int = 308
    ssl_redirect: bool = True
    allow_http: bool = True
    max_body_size: int | None = None
    cors: Cors | None = None
    rate_limit: RateLimit | None = None
    allow: tuple[str, ...] | None = None
    deny: tuple[str, ...] = ()
    deny_all: bool = False
    splits: MappingProxyType[str, Split] = field(default_factory=lambda: MappingProxyType({}))


class Protocol(StrEnum):
    """What a Service's endpoints speak (ingress.md 33)."""

    HTTP = "http"
    H2C = "h2c"
    HTTPS = "https"
    GRPCS = "grpcs"

    @property
    def http2(self) -> bool:
        """Whether requests are sent as HTTP/2."""
        return self in (Protocol.H2C, Protocol.GRPCS)

    @property
    def tls(self) -> bool:
        """Whether connections are encrypted."""
        return self in (Protocol.HTTPS, Protocol.GRPCS)


class Affinity(NamedTuple):
    """What sends a client's requests to the same endpoint: ``client-ip``, ``cookie`` or ``header``, and its name."""

    by: str
    name: str


class Locality(StrEnum):
    """Which endpoints are preferred: those on the client's node, then in its zone, then the rest; or any."""

    ANY = "any"
    ZONE = "zone"
    NODE = "node"


@dataclass(frozen=True, slots=True)
class ClusterOptions:
    """Everything a Service can ask for its clusters. None: the default."""

    protocol: Protocol | None = None
    affinity: Affinity | None = None
    locality: Locality | None = None
    connect_timeout: float | None = None
    retries: int = 2
    per_try_timeout: float | None = None
    max_connections: int | None = None
    max_requests: int | None = None
    outlier_detection: bool = False
    upstream_ca: str = ""
    upstream_name: str = ""
