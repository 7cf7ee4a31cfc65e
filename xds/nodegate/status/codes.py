"""The problems that those find who write to a cluster."""

from __future__ import annotations

from nodegate.model.problem import ProblemCode, Severity

SERVICE_NAME_TAKEN = ProblemCode(
    "ServiceNameTaken",
    "A Service of the name that nodegate gives to the Service of this Ingress exists, and nodegate did not make it. It "
    "is never taken over: the Ingress has no listener before it can have a Service of its own.",
    "Rename or delete that Service, or give the Ingress another name.",
)

LEASE_UNAVAILABLE = ProblemCode(
    "LeaseUnavailable",
    "The Lease by which replicas agree on who writes to the cluster cannot be read or renewed. While no replica holds "
    "it, nothing is written, so a new Ingress gets no listener; everything that is served goes on.",
    "Create the namespace of the Lease or name another one with --lease-namespace, and allow nodegate's ServiceAccount "
    "what kind/manifests/rbac.yaml says of leases.",
    Severity.WARNING,
)

CODES = (SERVICE_NAME_TAKEN, LEASE_UNAVAILABLE)
