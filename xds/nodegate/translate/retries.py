"""Retries: what is repeated, how often and where (ingress.md 43)."""

from __future__ import annotations

from typing import Any

from envoy.config.route.v3 import route_components_pb2 as components
from envoy.extensions.retry.host.previous_hosts.v3 import previous_hosts_pb2
from envoy.extensions.retry.priority.previous_priorities.v3 import previous_priorities_config_pb2

from nodegate.translate.packing import pack

RETRY_ON = "connect-failure,refused-stream,unavailable,reset-before-request"
"""What is safe to repeat: the request never reached an application (ingress.md 43)."""

_GIVEN_UP = ",reset"
"""What is repeated besides where a try may take only so long: it ends with a reset, though the request was sent."""

# A retry asks the load balancer this often for an endpoint that was not tried yet. It may give the same one again and
# again: asked three times, requests to two endpoints of which one is dead still failed now and then.
_SELECTIONS = 10


def retry_policy(retries: int, *, tries_end: bool) -> Any:
    """Return the retries of a cluster, each on an endpoint not tried yet (ingress.md 43).

    ``tries_end``: each may take only so long, which routes say (``RouteAction.retry_policy``). Envoy 1.40 does not read
    ``per_try_timeout`` of a cluster, though of all else the cluster's policy wins over a route's.
    """
    policy = components.RetryPolicy()
    policy.num_retries.value = retries
    if retries:
        policy.retry_on = RETRY_ON + _GIVEN_UP if tries_end else RETRY_ON
        policy.host_selection_retry_max_attempts = _SELECTIONS
        predicate = policy.retry_host_predicate.add(name="envoy.retry_host_predicates.previous_hosts")
        pack(predicate.typed_config, previous_hosts_pb2.PreviousHostsPredicate())
        # And where endpoints nearby come first, not among those nearby alone: they may all be gone.
        policy.retry_priority.name = "envoy.retry_priorities.previous_priorities"
        pack(policy.retry_priority.typed_config, _OTHER_PRIORITIES)
    return policy


_OTHER_PRIORITIES = previous_priorities_config_pb2.PreviousPrioritiesConfig(update_frequency=1)
