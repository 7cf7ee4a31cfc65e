"""A Service with what its annotations ask for: what routes and clusters are made of."""

from __future__ import annotations

from dataclasses import dataclass

from nodegate.model.objects import Service, ServicePort
from nodegate.model.problem import Problem
from nodegate.translate.annotations import service_options
from nodegate.translate.options import Affinity, ClusterOptions


@dataclass(frozen=True, slots=True)
class Upstream:
    """One Service, read once."""

    service: Service
    options: ClusterOptions
    problems: tuple[Problem, ...]

    @property
    def affinity(self) -> Affinity | None:
        """What sends a client to the same endpoint again: the annotation, else ``sessionAffinity`` (ingress.md 32)."""
        if self.options.affinity is None and self.service.spec.session_affinity == "ClientIP":
            return Affinity("client-ip", "")
        return self.options.affinity

    @property
    def routed_by(self) -> tuple[object, ...]:
        """The part of a Service that routes depend on; the rest concerns its clusters only."""
        return (self.service.spec.ports, self.affinity, self.external_name, self.options.per_try_timeout)

    @property
    def is_external(self) -> bool:
        """Whether the Service is a DNS name outside and has no endpoints."""
        return self.service.spec.type == "ExternalName"

    @property
    def external_name(self) -> str:
        """The DNS name that the Service is, in lower case and without a dot at its end; empty for others."""
        return self.service.spec.external_name.lower().removesuffix(".") if self.is_external else ""

    def port(self, port: str) -> ServicePort | None:
        """Return the TCP port with this number or name, or None. Digits are a number, never a name."""
        for candidate in self.service.spec.ports:
            known_as = str(candidate.port) if port.isdecimal() else candidate.name
            if candidate.protocol == "TCP" and port == known_as:
                return candidate
        return None


def upstream(service: Service) -> Upstream:
    """Return a Service as translation uses it."""
    return Upstream(service, *service_options(service))
