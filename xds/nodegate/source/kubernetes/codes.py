"""The problems of a source that are those of a Kubernetes API: it does not answer, or does not allow."""

from __future__ import annotations

from nodegate.model.problem import ProblemCode, Severity

API_UNREACHABLE = ProblemCode(
    "ApiUnreachable",
    "The Kubernetes API server does not answer. Everything that was known goes on being served, and what changes "
    "meanwhile is taken over as soon as the server answers again.",
    "See whether the API server runs and can be reached from here; nodegate tries again by itself.",
    Severity.WARNING,
)
ACCESS_DENIED = ProblemCode(
    "AccessDenied",
    "The Kubernetes API server does not let nodegate read a resource. What was known of it before goes on being "
    "served. At the start nodegate waits, so that nothing is taken from proxies because a rule is missing; only "
    "resources of the cluster count as none where --watch-namespace is given, as a Role cannot grant them.",
    "Add the rule to the Role or ClusterRole of nodegate's ServiceAccount; kind/manifests/ has them all.",
)

SERVED_FROM_STATE = ProblemCode(
    "ServedFromState",
    "The Kubernetes API server has not listed everything since nodegate started, so what an earlier run kept in the "
    "state folder is served. New proxies get that, and nothing is taken from any proxy before the listing is complete. "
    "Private keys are not kept unless --state-secrets is given: proxies that have them keep them, a new proxy cannot "
    "answer for those TLS hosts yet.",
    "See whether the API server runs and can be reached from here; nodegate tries again by itself.",
    Severity.WARNING,
)

CODES = (API_UNREACHABLE, ACCESS_DENIED, SERVED_FROM_STATE)
