"""The Service that each Ingress owns, and the one of the shared listeners: names, marks, and what they say of ports.

The name and the marks are part of nodegate's contract with a cluster: status writes them, translation and a restarted
control plane read them back (redirect 1).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator

from nodegate.model.objects import Object, Service
from nodegate.model.refs import Kind

MANAGER = "nodegate"
"""The field manager of everything nodegate writes, in every replica, so that repeats are no-ops (DESIGN 3.6)."""
MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"
INGRESS_ANNOTATION = "nodegate.dev/ingress"
PORTS_ANNOTATION = "nodegate.dev/listener-ports"
REFUSED_ANNOTATION = "nodegate.dev/refused-ports"
SHARED = "shared"
"""What the names of the shared listeners begin with (DESIGN 5)."""
SERVICE_PORTS = {"http": 80, "https": 443}
"""The Service's port for each listener of an Ingress, by the listener's scheme."""

_LONGEST_NAME = 63  # of a Service: it is a DNS label
_DIGEST_LENGTH = 8
_NOT_IN_A_LABEL = re.compile("[^a-z0-9-]")


def service_name(ingress: str) -> str:
    """Return the name of an Ingress' Service: ``nodegate-<ingress>``, cut and hashed where that is no DNS label."""
    plain = f"{MANAGER}-{ingress}"
    legal = _NOT_IN_A_LABEL.sub("-", plain)
    if legal == plain and len(plain) <= _LONGEST_NAME:
        return plain
    digest = hashlib.sha256(ingress.encode()).hexdigest()[:_DIGEST_LENGTH]
    return f"{legal[: _LONGEST_NAME - _DIGEST_LENGTH - 1].rstrip('-')}-{digest}"


def is_ours(found: Object) -> bool:
    """Whether nodegate made this Service or slice; one of the same name that somebody else made is never touched."""
    return found.metadata.labels.get(MANAGED_BY_LABEL) == MANAGER and any(
        owner.kind == Kind.INGRESS.value for owner in found.metadata.owner_references
    )


def frontend_of(service: Service, publish: tuple[str, str]) -> str:
    """Return what the names of a Service's listeners begin with; empty when the Service is none of ours.

    ``publish`` is namespace and name of the Service of the shared listeners.
    """
    namespace, name = service.metadata.namespace, service.metadata.name
    if (namespace, name) == publish:
        return SHARED if service.metadata.labels.get(MANAGED_BY_LABEL) == MANAGER else ""
    ingress = service.metadata.annotations.get(INGRESS_ANNOTATION, "")
    return f"{namespace}/{ingress}" if is_ours(service) and service_name(ingress) == name else ""


def claimed_ports(service: Service) -> dict[str, int]:
    """Return the ports that a Service of ours says its listeners have; what cannot be read is no claim."""
    return dict(_ports_in(service.metadata.annotations.get(PORTS_ANNOTATION, "")))


def refused_ports(service: Service) -> tuple[tuple[str, int], ...]:
    """Return the ports that a Service of ours says its listeners must not have, as some node cannot use them."""
    return tuple(_ports_in(service.metadata.annotations.get(REFUSED_ANNOTATION, "")))


def ports_text(ports: Iterable[tuple[str, int]]) -> str:
    """Return the value of an annotation: ``http=18243,https=12001``."""
    return ",".join(f"{scheme}={port}" for scheme, port in sorted(ports))


def _ports_in(text: str) -> Iterator[tuple[str, int]]:
    for item in text.split(","):
        scheme, _, port = item.partition("=")
        if scheme in SERVICE_PORTS and port.isascii() and port.isdigit():
            yield scheme, int(port)
