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

CODES = (API_UNREACHABLE, ACCESS_DENIED)
