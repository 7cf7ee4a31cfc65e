"""What a Kubernetes API server would refuse in an object whose types are right.

The checks are those of ``pkg/apis/{core,discovery,networking}/validation`` that are about fields nodegate reads, with
one exception: loopback and link-local endpoints are accepted here, as a folder may describe programs on one machine.
An object that comes from an API server has passed them there and is not checked again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from nodegate.model.objects import EndpointSlice, Ingress, IngressClass, Object, Secret, Service
from nodegate.source.finding import Finding
from nodegate.source.validation.endpoint_slice import check_endpoint_slice
from nodegate.source.validation.ingress import check_ingress, check_ingress_class
from nodegate.source.validation.metadata import check_metadata
from nodegate.source.validation.secret import check_secret
from nodegate.source.validation.service import check_service

_CHECKS: Mapping[type, Callable[[Any], Iterator[Finding]]] = {
    Ingress: check_ingress,
    IngressClass: check_ingress_class,
    Service: check_service,
    EndpointSlice: check_endpoint_slice,
    Secret: check_secret,
}


def check(checked: Object) -> Iterator[Finding]:
    """Yield everything an API server would refuse in the object; identity is checked before an object is made."""
    yield from check_metadata(checked.metadata)
    more = _CHECKS.get(type(checked))
    if more is not None:
        yield from more(checked)
