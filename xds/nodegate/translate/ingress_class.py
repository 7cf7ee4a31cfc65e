"""Which Ingresses are ours: by the controller of their IngressClass, never by the class's name (ingress.md 18, 19)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from nodegate.model.objects import Ingress, IngressClass
from nodegate.model.problem import Problem
from nodegate.translate import codes
from nodegate.translate.settings import CLASS_WITHOUT_OBJECTS, CONTROLLER, Settings

LEGACY_ANNOTATION = "kubernetes.io/ingress.class"
DEFAULT_ANNOTATION = "ingressclass.kubernetes.io/is-default-class"

Classes = Mapping[str, IngressClass]

_OLDEST = datetime.min.replace(tzinfo=UTC)


def is_ours(ingress: Ingress, classes: Classes, settings: Settings) -> tuple[bool, tuple[Problem, ...]]:
    """Say whether we serve the Ingress as far as its class goes, and what is worth knowing when we do not.

    The legacy annotation wins if present, else ``spec.ingressClassName``, else the default class.
    """
    name = ingress.metadata.annotations.get(LEGACY_ANNOTATION)
    field = f"metadata.annotations[{LEGACY_ANNOTATION}]"
    if name is None:
        name, field = ingress.spec.ingress_class_name, "spec.ingressClassName"
    if name is None:
        return _without_class(ingress, classes, settings)
    if name in classes:
        return _is_our_class(classes[name], settings), ()
    if not classes and name == (settings.ingress_class or CLASS_WITHOUT_OBJECTS):
        return True, ()
    return False, (codes.INGRESS_CLASS_UNKNOWN.found(ingress.ref, field, f"There is no IngressClass {name!r}."),)


def _without_class(ingress: Ingress, classes: Classes, settings: Settings) -> tuple[bool, tuple[Problem, ...]]:
    default = default_class(classes)
    if default is None:
        message = "The Ingress names no class, and no IngressClass is the default."
        return False, (codes.INGRESS_CLASS_MISSING.found(ingress.ref, "spec.ingressClassName", message),)
    return _is_our_class(default, settings), ()


def _is_our_class(ingress_class: IngressClass, settings: Settings) -> bool:
    wanted = settings.ingress_class in (None, ingress_class.metadata.name)
    return wanted and ingress_class.spec.controller == CONTROLLER


def default_class(classes: Classes) -> IngressClass | None:
    """Return the default class: of several the youngest, then the lowest name, as admission picks (ingress.md 19)."""
    marked = [c for c in classes.values() if c.metadata.annotations.get(DEFAULT_ANNOTATION) == "true"]
    if not marked:
        return None
    youngest = max(_created(c) for c in marked)
    return min((c for c in marked if _created(c) == youngest), key=lambda c: c.metadata.name)


def _created(ingress_class: IngressClass) -> datetime:
    return created(ingress_class.metadata.creation_timestamp)


def created(timestamp: datetime | None) -> datetime:
    """Return a creation time that can be compared: absent is the oldest, one without zone is UTC."""
    if timestamp is None:
        return _OLDEST
    return timestamp if timestamp.tzinfo else timestamp.replace(tzinfo=UTC)
