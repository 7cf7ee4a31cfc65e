"""Routes of a virtual host: from a comparison and clusters to Envoy's ``Route``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from nodegate.translate.connection_manager import CHAIN_HEADER, SNI_HEADER
from nodegate.translate.filters import configure
from nodegate.translate.hosts import one_label_regex
from nodegate.translate.options import Affinity, RedirectTo, RouteOptions
from nodegate.translate.packing import seconds
from nodegate.translate.paths import Match, PathMatch

MISDIRECTED = 421
ACME = "/.well-known/acme-challenge"
"""Where certificate authorities look, over plain HTTP, for the proof that a host is ours (RFC 8555, 8.3)."""

_MOST_ELEMENTS = 14  # which compile to fewer than 100 steps, Envoy's limit

EVERYTHING = PathMatch(Match.PREFIX, "/")
_CODES = {301: 0, 302: 1, 303: 2, 307: 3, 308: 4}  # RedirectAction.RedirectResponseCode


@dataclass(frozen=True, slots=True)
class Route:
    """One route to make.

    ``name`` is the object and field that caused it. ``clusters`` are names and weights; none answers 503. ``wildcard``
    is the host if it is one and the route is for it alone, else empty. ``host`` is the one the backend wants to be
    asked for, if not the client's. ``per_try_timeout``, in seconds, is how long one endpoint may take, if limited.
    """

    name: str
    match: PathMatch
    clusters: tuple[tuple[str, int], ...]
    options: RouteOptions
    affinity: Affinity | None = None
    host: str = ""
    wildcard: str = ""
    per_try_timeout: float | None = None


def add_route(routes: Any, planned: Route) -> None:
    """Append a route that leads to its clusters, to where it redirects, or to 503."""
    route = _added(routes, planned)
    options = planned.options
    if options.redirect_to is not None:
        _redirect(route.redirect, options.redirect_to, options.redirect_code)
    elif not planned.clusters:
        route.direct_response.status = 503
    else:
        _lead(route.route, planned)
    configure(route.typed_per_filter_config, options)


def add_https_redirect(routes: Any, planned: Route, https_port: int, *, unless_secure: bool) -> None:
    """Append the plain HTTP form of a route that is served over HTTPS only (ingress.md 39).

    ``unless_secure`` leaves alone what a trusted proxy in front says to have received over HTTPS.
    """
    route = _added(routes, planned)
    if unless_secure:
        forwarded = route.match.headers.add(name="x-forwarded-proto", invert_match=True)
        forwarded.string_match.exact = "https"
    route.redirect.https_redirect = True
    if https_port != 443:
        route.redirect.port_redirect = https_port
    route.redirect.response_code = _CODES[planned.options.redirect_code]
    configure(route.typed_per_filter_config, planned.options)


def serves_acme(match: PathMatch) -> bool:
    """Say whether a route is one of ACME challenges, which are answered over plain HTTP (ingress.md 39)."""
    return match.path == ACME or match.path.startswith(ACME + "/")


def above_acme(match: PathMatch) -> bool:
    """Say whether a prefix matches ACME challenges as well as other paths."""
    return match.kind is Match.PREFIX and (match.path == "/" or ACME.startswith(match.path + "/"))


def add_misdirected(routes: Any, chains: frozenset[str]) -> None:
    """Append the answer 421 to requests that came in by another filter chain than one of ``chains``.

    A client that asked for no name gets the default certificate whatever it wants, so it is served.
    """
    route = routes.add(name="misdirected")
    route.match.prefix = "/"
    for chain in sorted(chains):
        other = route.match.headers.add(name=CHAIN_HEADER, invert_match=True)
        other.string_match.exact = chain
    route.match.headers.add(name=SNI_HEADER, present_match=True)
    route.direct_response.status = MISDIRECTED


def set_match(target: Any, match: PathMatch) -> None:
    """Fill a ``RouteMatch``. Prefixes are element-wise: ``/a`` matches ``/a/b``, not ``/ab`` (ingress.md 8)."""
    if match.kind is Match.EXACT:
        target.path = match.path
    elif match.kind is Match.REGEX:
        target.safe_regex.regex = match.path
    elif match.path == "/":
        target.prefix = "/"
    else:
        target.path_separated_prefix = match.path


def _added(routes: Any, planned: Route) -> Any:
    route = routes.add(name=planned.name)
    set_match(route.match, planned.match)
    if planned.wildcard:
        authority = route.match.headers.add(name=":authority")
        authority.string_match.safe_regex.regex = one_label_regex(planned.wildcard)
    return route


def _lead(action: Any, planned: Route) -> None:
    """Fill the action of a route to clusters.

    There is no route timeout unless one is asked for: streams are bounded by the listener's idle timeout, so long
    polling, gRPC streams and uploads live as long as they move (ingress.md 43).
    """
    options = planned.options
    if len(planned.clusters) == 1:
        action.cluster = planned.clusters[0][0]
    else:
        for cluster, weight in planned.clusters:
            action.weighted_clusters.clusters.add(name=cluster).weight.value = weight
    action.timeout.CopyFrom(seconds(options.timeout))
    if options.idle_timeout is not None:
        action.idle_timeout.CopyFrom(seconds(options.idle_timeout))
    host = options.host_rewrite or planned.host
    if host:
        action.host_rewrite_literal = host
    if options.rewrite_prefix is not None:
        _rewrite(action, planned.match, options.rewrite_prefix)
    if planned.per_try_timeout is not None:
        action.retry_policy.per_try_timeout.CopyFrom(seconds(planned.per_try_timeout))
    if planned.affinity is not None:
        _hash(action.hash_policy.add(), planned.affinity)


def _rewrite(action: Any, match: PathMatch, to: str) -> None:
    """Replace what was matched. Slashes at the seam are neither doubled nor lost."""
    without_slash = to.rstrip("/")
    if match.kind is Match.REGEX:
        _rewrite_by_regex(action, "^.*$", to)
    elif match.kind is Match.EXACT:
        action.prefix_rewrite = to
    elif match.path == "/":
        action.prefix_rewrite = without_slash + "/"
    elif without_slash:
        action.prefix_rewrite = without_slash
    else:
        # What is cut off is told by its number of elements: the path itself could be too long for an expression.
        elements = match.path.count("/")
        if elements <= _MOST_ELEMENTS:
            _rewrite_by_regex(action, f"^(/[!-.0-~]*){{{elements}}}/?", "/")
        else:
            action.prefix_rewrite = "/"


def _rewrite_by_regex(action: Any, pattern: str, to: str) -> None:
    action.regex_rewrite.pattern.regex = pattern
    action.regex_rewrite.substitution = to.replace("\\", "\\\\")


def _redirect(redirect: Any, to: RedirectTo, code: int) -> None:
    redirect.scheme_redirect = to.scheme
    redirect.host_redirect = to.host
    if to.port:
        redirect.port_redirect = to.port
    if to.path:
        redirect.path_redirect = to.path
    redirect.response_code = _CODES[code]


def _hash(policy: Any, affinity: Affinity) -> None:
    if affinity.by == "client-ip":
        policy.connection_properties.source_ip = True
    elif affinity.by == "cookie":
        policy.cookie.name = affinity.name
        policy.cookie.ttl.CopyFrom(seconds(0))  # a session cookie that Envoy sets
        policy.cookie.path = "/"
    else:
        policy.header.header_name = affinity.name
