"""The problems that those find who write to a cluster."""

from __future__ import annotations

from nodegate.model.problem import ProblemCode

SERVICE_NAME_TAKEN = ProblemCode(
    "ServiceNameTaken",
    "A Service of the name that nodegate gives to the Service of this Ingress exists, and nodegate did not make it. It "
    "is never taken over: the Ingress has no listener before it can have a Service of its own.",
    "Rename or delete that Service, or give the Ingress another name.",
)

CODES = (SERVICE_NAME_TAKEN,)
