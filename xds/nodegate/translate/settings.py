"""What the person who runs nodegate decides about translation, the same for all objects."""

from __future__ import annotations

from dataclasses import dataclass

CONTROLLER = "nodegate.dev/ingress-controller"
"""The controller name an IngressClass must carry for its Ingresses to be ours (DESIGN 5)."""

CLASS_WITHOUT_OBJECTS = "nodegate"
"""The class name that is ours in a cluster or folder without any IngressClass object (DESIGN 5)."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of translation; a function of these and the objects alone is what ``step`` computes.

    ``ingress_class`` narrows to that one of our classes; None serves all of them.
    """

    ingress_class: str | None = None
