"""The annotations nodegate reads: one table for Ingresses, one for Services. ``docs/annotations.md`` is made of them.

A value that cannot be read is a problem and counts as absent, but for the two lists of address ranges: what they
meant to keep out stays out.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from typing import Any, TypeVar

from nodegate.model.generated_service import INGRESS_ANNOTATION, PORTS_ANNOTATION, REFUSED_ANNOTATION
from nodegate.model.objects import Ingress, Service
from nodegate.model.problem import Problem
from nodegate.model.refs import Kind, Ref
from nodegate.translate import codes
from nodegate.translate.annotation_values import (
    absolute_path,
    affinity,
    exact_host,
    header_list,
    networks,
    origins,
    rate,
    redirect_code,
    redirect_target,
    splits,
)
from nodegate.translate.options import (
    ClusterOptions,
    Cors,
    Locality,
    Protocol,
    RegexMode,
    RouteOptions,
)
from nodegate.translate.quantities import UnreadableError, duration, number, size, truth
from nodegate.translate.settings import ListenerMode

PREFIX = "nodegate.dev/"
ALLOW_HTTP = "kubernetes.io/ingress.allow-http"

Options = TypeVar("Options", RouteOptions, ClusterOptions)
Reader = Callable[[Any, str], Any]
"""Takes the options so far and the text of a value, and returns the options with it."""


@dataclass(frozen=True, slots=True)
class Annotation:
    """One annotation: its name without prefix, an example of a value, what it does, and how a value is read.

    ``refused`` is what holds instead of a value that cannot be read, where ignoring it would open what was closed.
    """

    name: str
    example: str
    meaning: str
    read: Reader
    refused: Callable[[Any], Any] | None = None

    @property
    def key(self) -> str:
        """The whole key of the annotation."""
        return PREFIX + self.name


def _set(field: str, parse: Callable[[str], Any]) -> Reader:
    return lambda options, text: replace(options, **{field: parse(text)})


def _choice(kind: type[StrEnum]) -> Callable[[str], Any]:
    def parse(text: str) -> Any:
        try:
            return kind(text.lower())
        except ValueError:
            raise UnreadableError(f"{text!r} is none of {', '.join(str(member) for member in kind)}.") from None

    return parse


def _cors(field: str, parse: Callable[[str], Any]) -> Reader:
    return lambda options, text: replace(options, cors=replace(options.cors or Cors(), **{field: parse(text)}))


def _refuse_everybody(options: RouteOptions) -> RouteOptions:
    return replace(options, deny_all=True)


INGRESS_ANNOTATIONS = (
    Annotation(
        "listener-mode",
        "shared",
        "Whether this Ingress has listeners of its own (dedicated) or shares one pair.",
        _set("listener_mode", _choice(ListenerMode)),
    ),
    Annotation(
        "timeout",
        "30s",
        "The longest a request may take until its response has ended; 0 is no limit, the default.",
        _set("timeout", duration),
    ),
    Annotation(
        "idle-timeout",
        "60s",
        "How long a request may stay without a byte in either direction (default 300s).",
        _set("idle_timeout", duration),
    ),
    Annotation(
        "path-regex",
        "full",
        "Paths of type ImplementationSpecific are RE2 expressions of the whole path (full) or "
        "of its beginning (prefix).",
        _set("path_regex", _choice(RegexMode)),
    ),
    Annotation(
        "rewrite-prefix",
        "/",
        "What the matched path is replaced by before the request goes to the backend.",
        _set("rewrite_prefix", absolute_path),
    ),
    Annotation(
        "host-rewrite",
        "internal.example",
        "The Host header the backend gets (default: the client's).",
        _set("host_rewrite", exact_host),
    ),
    Annotation(
        "redirect-to",
        "https://www.example.com",
        "Redirect every request there; without a path, the path is kept.",
        _set("redirect_to", redirect_target),
    ),
    Annotation(
        "redirect-code",
        "308",
        "The status of redirects: 301, 302, 303, 307 or 308, the default.",
        _set("redirect_code", redirect_code),
    ),
    Annotation(
        "ssl-redirect",
        "false",
        "Whether plain HTTP requests for hosts with TLS are redirected to HTTPS (default).",
        _set("ssl_redirect", truth),
    ),
    Annotation(
        "max-body-size",
        "8Mi",
        "The largest request body; a larger one is answered 413. Bodies are buffered for it.",
        _set("max_body_size", size),
    ),
    Annotation(
        "rate-limit",
        "100/s",
        "The most requests of each path on each node per second, minute or hour; more get 429.",
        _set("rate_limit", rate),
    ),
    Annotation(
        "allow-ranges",
        "10.0.0.0/8, 192.168.0.0/16",
        "Only clients in these ranges are served; others get 403.",
        _set("allow", networks),
        _refuse_everybody,
    ),
    Annotation(
        "deny-ranges", "203.0.113.0/24", "Clients in these ranges get 403.", _set("deny", networks), _refuse_everybody
    ),
    Annotation(
        "canary",
        "web=web-next:10",
        "Of the requests for Service web, ten in a hundred go to Service web-next.",
        _set("splits", splits),
    ),
    Annotation(
        "cors-origins",
        "https://a.example, https://*.b.example",
        "Sites whose scripts may call; '*' is all.",
        _cors("origins", origins),
    ),
    Annotation("cors-methods", "GET, POST", "Methods such scripts may use.", _cors("methods", header_list)),
    Annotation("cors-headers", "x-token", "Request headers such scripts may send.", _cors("headers", header_list)),
    Annotation("cors-credentials", "true", "Whether cookies are sent along.", _cors("credentials", truth)),
    Annotation("cors-max-age", "1h", "How long browsers may remember the answer.", _cors("max_age", duration)),
)
"""Annotations of an Ingress: what they say holds for its routes."""

SERVICE_ANNOTATIONS = (
    Annotation(
        "protocol",
        "h2c",
        "What the endpoints speak: http, h2c, https or grpcs. Wins over appProtocol of the port.",
        _set("protocol", _choice(Protocol)),
    ),
    Annotation(
        "affinity",
        "cookie:session",
        "Requests with the same client-ip, cookie:NAME or header:NAME go to the same endpoint.",
        _set("affinity", affinity),
    ),
    Annotation(
        "locality",
        "node",
        "Prefer endpoints on the node that serves the request, then in its zone (node); only in "
        "its zone (zone); or none (any).",
        _set("locality", _choice(Locality)),
    ),
    Annotation(
        "connect-timeout",
        "5s",
        "How long an endpoint may take to accept a connection (default 5s).",
        _set("connect_timeout", duration),
    ),
    Annotation(
        "retries",
        "3",
        "How often a request is tried again that reached no application (default 2); 0 is never.",
        _set("retries", partial(number, lowest=0, highest=10)),
    ),
    Annotation(
        "per-try-timeout",
        "5s",
        "How long an endpoint may take to answer before another one is asked, though the first has the request.",
        _set("per_try_timeout", duration),
    ),
    Annotation(
        "max-connections",
        "1000",
        "The most connections to the Service from one node.",
        _set("max_connections", partial(number, lowest=1, highest=1_000_000)),
    ),
    Annotation(
        "max-requests",
        "1000",
        "The most requests at once to the Service from one node.",
        _set("max_requests", partial(number, lowest=1, highest=1_000_000)),
    ),
    Annotation(
        "outlier-detection",
        "true",
        "Leave out an endpoint for a while that answers 5xx five times in a row.",
        _set("outlier_detection", truth),
    ),
    Annotation(
        "upstream-ca",
        "backend-ca",
        "The Secret, of the same namespace, whose ca.crt signs the endpoints' certificates (protocol https or grpcs).",
        _set("upstream_ca", str),
    ),
    Annotation(
        "upstream-name",
        "web.internal",
        "The DNS name in the endpoints' certificates, also sent as SNI.",
        _set("upstream_name", exact_host),
    ),
)
"""Annotations of a Service: what they say holds for its clusters, whichever Ingress leads there."""


_ROUTE_DEFAULTS, _CLUSTER_DEFAULTS = RouteOptions(), ClusterOptions()  # one of each: most objects ask for nothing


def ingress_options(ingress: Ingress) -> tuple[RouteOptions, tuple[Problem, ...]]:
    """Return what an Ingress' annotations ask for, and what is wrong with them."""
    options, problems = _read(ingress.ref, ingress.metadata.annotations, INGRESS_ANNOTATIONS, _ROUTE_DEFAULTS)
    if ingress.metadata.annotations.get(ALLOW_HTTP, "").lower() == "false":
        options = replace(options, allow_http=False)
    if options.cors is not None and not options.cors.origins:
        options = replace(options, cors=None)  # without origins, nobody is let in
    return options, problems


def service_options(service: Service) -> tuple[ClusterOptions, tuple[Problem, ...]]:
    """Return what a Service's annotations ask for, and what is wrong with them."""
    return _read(service.ref, service.metadata.annotations, SERVICE_ANNOTATIONS, _CLUSTER_DEFAULTS)


OWN_KEYS = frozenset({INGRESS_ANNOTATION, PORTS_ANNOTATION, REFUSED_ANNOTATION})
"""Keys that nodegate itself writes on Services, which are therefore known (DESIGN 3.6)."""


def _read(
    ref: Ref, given: Mapping[str, str], table: tuple[Annotation, ...], options: Options
) -> tuple[Options, tuple[Problem, ...]]:
    if not any(key.startswith(PREFIX) for key in given):
        return options, ()
    known = {annotation.key: annotation for annotation in table}
    problems = []
    for key in sorted(given):
        if not key.startswith(PREFIX) or key in OWN_KEYS:
            continue
        field = f"metadata.annotations[{key}]"
        annotation = known.get(key)
        if annotation is None:
            problems.append(codes.UNKNOWN_ANNOTATION.found(ref, field, _unknown(key, ref, known)))
            continue
        try:
            options = annotation.read(options, given[key].strip())
        except UnreadableError as error:
            problems.append(codes.INVALID_ANNOTATION.found(ref, field, str(error)))
            options = annotation.refused(options) if annotation.refused else options
    return options, tuple(problems)


def _unknown(key: str, ref: Ref, known: Mapping[str, Annotation]) -> str:
    kind_of = {annotation.key: kind for kind, table in _TABLES.items() for annotation in table}
    kind_of |= dict.fromkeys(known, ref.kind)
    if key in kind_of:
        return f"nodegate reads annotation {key} of {_ONE[kind_of[key]]}, not of {_ONE[ref.kind]}."
    # Without the prefix: all have that, and it alone would make them look alike.
    words = [one.removeprefix(PREFIX) for one in kind_of]
    nearest = difflib.get_close_matches(key.removeprefix(PREFIX), words, n=1, cutoff=0.6)
    hint = f" The nearest one it reads is {_with_kind(PREFIX + nearest[0], kind_of, ref)}." if nearest else ""
    return f"nodegate reads no annotation {key} of {_ONE[ref.kind]}.{hint}"


def _with_kind(key: str, kind_of: Mapping[str, Kind], ref: Ref) -> str:
    return key if kind_of[key] is ref.kind else f"{key}, of {_ONE[kind_of[key]]}"


_TABLES = {Kind.INGRESS: INGRESS_ANNOTATIONS, Kind.SERVICE: SERVICE_ANNOTATIONS}
_ONE = {Kind.INGRESS: "an Ingress", Kind.SERVICE: "a Service"}
