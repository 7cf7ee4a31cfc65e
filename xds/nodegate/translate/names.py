"""How resources are named (DESIGN 5). Names are the interface to people: they show in every Envoy statistic."""

from __future__ import annotations

from enum import StrEnum
from sys import intern
from typing import NamedTuple

from nodegate.model.refs import Kind, Ref

ObjectName = tuple[str, str]
"""Namespace and name of an object whose kind is known."""


class Scheme(StrEnum):
    """What a listener speaks. Its Service port is 80 or 443."""

    HTTP = "http"
    HTTPS = "https"

    @property
    def service_port(self) -> int:
        """The port of the Service that clients know."""
        return 80 if self is Scheme.HTTP else 443


def ingress_ref(name: ObjectName) -> Ref:
    """Return the identity of an Ingress."""
    return Ref(Kind.INGRESS, *name)


def service_ref(name: ObjectName) -> Ref:
    """Return the identity of a Service."""
    return Ref(Kind.SERVICE, *name)


class ClusterKey(NamedTuple):
    """The identity of a cluster and of its ClusterLoadAssignment.

    ``port`` is the Service's port number, so that a reference by name and one by number share a cluster
    (ingress.md 22). A port name that leads nowhere is used as it is: it cannot look like a number.
    """

    service: ObjectName
    port: str

    @property
    def name(self) -> str:
        """The name of the resources: ``namespace/service/port``. All that hold it hold the same string."""
        return intern(f"{self.service[0]}/{self.service[1]}/{self.port}")


def route_name(frontend: str, scheme: Scheme) -> str:
    """Return the name of a route configuration, which is also its listener's name without the port."""
    return f"{frontend}/{scheme.value}"


def listener_name(base: str, port: int) -> str:
    """Return the name of a listener. Its port is part of it: a new port is a new listener (DESIGN 3.5)."""
    return f"{base}@{port}"


def listener_and_port(name: str) -> tuple[str, int]:
    """Return the name without port, and the port, of a listener's name; 0 where it has none."""
    base, at, port = name.rpartition("@")
    return (base, int(port)) if at and port.isdecimal() else (name, 0)


def cause(ref: Ref, field: str) -> str:
    """Return the name of a route: the object and the field that caused it, as access logs and ``explain`` show it."""
    return f"{ref.kind.value}/{ref.namespace}/{ref.name}:{field}"
