"""Routes of a virtual host: from a comparison and a cluster to Envoy's ``Route``."""

from __future__ import annotations

from typing import Any

from envoy.config.route.v3 import route_components_pb2 as components
from envoy.extensions.retry.host.previous_hosts.v3 import previous_hosts_pb2

from nodegate.translate.packing import pack, seconds
from nodegate.translate.paths import Match, PathMatch

RETRY_ON = "connect-failure,refused-stream,unavailable,reset-before-request"
"""What is safe to repeat: the request never reached an application (ingress.md 43)."""

_NO_TIMEOUT = seconds(0)


def add_route(routes: Any, name: str, match: PathMatch, cluster: str | None) -> None:
    """Append a route to a virtual host's ``routes``. Without a cluster it answers 503.

    ``name`` is the object and field that caused it. There is no route timeout: streams are bounded by the listener's
    idle timeout, so long polling, gRPC streams and uploads live as long as they move (ingress.md 43).
    """
    route = routes.add(name=name)
    set_match(route.match, match)
    if cluster is None:
        route.direct_response.status = 503
        return
    route.route.cluster = cluster
    route.route.timeout.CopyFrom(_NO_TIMEOUT)


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


def retry_policy() -> components.RetryPolicy:
    """Return the retries of every virtual host: at most two, each on a host not tried yet (ingress.md 43)."""
    policy = components.RetryPolicy(retry_on=RETRY_ON, host_selection_retry_max_attempts=3)
    policy.num_retries.value = 2
    predicate = policy.retry_host_predicate.add(name="envoy.retry_host_predicates.previous_hosts")
    pack(predicate.typed_config, previous_hosts_pb2.PreviousHostsPredicate())
    return policy
