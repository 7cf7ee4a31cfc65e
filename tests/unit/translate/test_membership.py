"""Which Ingresses are served: classes, deletion, namespaces, listener modes and quarantine, as they change."""

from __future__ import annotations

import pytest

from nodegate.model.changes import Delete, Quarantined, Upsert
from nodegate.model.objects import Ingress, IngressSpec, Metadata, Namespace, NamespaceStatus
from nodegate.translate.settings import ListenerMode, Settings
from tests.unit.translate.objects import (
    START,
    claimed,
    endpoints,
    ingress,
    ingress_class,
    rule,
    service,
    upserts,
)
from tests.unit.translate.world import World

WEB = ingress("web", rule({"/": "app:80"}))
OURS, THEIRS = ingress_class("nodegate"), ingress_class("other", controller="example.com/other")
APP = (service("app"), endpoints("app", "10.0.0.1"))


def world(*objects: object, settings: Settings | None = None) -> World:
    """Return a world of these objects and of two classes, ours and another."""
    return World(*upserts(OURS, THEIRS, *APP, *objects), *claimed("default/web/http"), settings=settings)  # type: ignore[arg-type]


def test_an_ingress_that_leaves_our_class_loses_its_configuration() -> None:
    """Nothing of it is left, and its listener is wanted no more (ingress.md 20)."""
    served = world(WEB)
    changed = served.change(Upsert(ingress("web", rule({"/": "app:80"}), class_name="other")))
    assert served.resources == {}
    assert changed.listeners == {"default/web/http": None}
    assert served.codes() == []  # another controller's Ingress is none of our business (ingress.md 19)


def test_a_class_that_is_given_to_another_controller_takes_its_ingresses_along() -> None:
    """What counts is the controller, at any time (ingress.md 18, 20)."""
    served = world(WEB)
    served.change(Upsert(ingress_class("nodegate", controller="example.com/other")))
    assert served.resources == {}
    served.change(Upsert(OURS))
    assert served.names("listener") == ["default/web/http@18000"]


def test_without_any_class_object_the_name_nodegate_is_ours() -> None:
    """A folder with nothing but an Ingress works; one class object, and classes count (DESIGN 5)."""
    served = World(*upserts(WEB), *claimed("default/web/http"))
    assert served.names("route") == ["default/web/http"]
    served.change(Upsert(THEIRS))
    assert served.names("route") == []
    assert served.codes() == ["IngressClassUnknown"]


@pytest.mark.parametrize("name", ["nodegate", "mine"])
def test_the_operators_class_name_is_the_one_that_needs_no_object(name: str) -> None:
    """``--ingress-class`` narrows, with and without IngressClass objects (ingress.md 18)."""
    served = World(*upserts(ingress("web", class_name=name)), settings=Settings(ingress_class="mine"))
    assert bool(served.listeners) == (name == "mine")


def test_two_default_classes_of_one_age_the_lower_name_counts() -> None:
    """As admission picks it (ingress.md 19)."""
    nobody = ingress("web", rule({"/": "app:80"}), class_name=None)
    ours = ingress_class("b", default=True, age=1)
    lower = ingress_class("a", controller="example.com/other", default=True, age=1)
    assert World(*upserts(nobody, ours)).listeners
    assert not World(*upserts(nobody, ours, lower)).listeners


def test_a_namespace_that_is_deleted_takes_its_ingresses_along() -> None:
    """They lose to others at once, not when the namespace is gone (ingress.md 17)."""
    served = world(WEB)
    served.change(Upsert(Namespace(Metadata("default"), NamespaceStatus("Terminating"))))
    assert served.resources == {}
    assert served.codes() == ["NamespaceTerminating"]
    served.change(Delete(Namespace(Metadata("default")).ref))
    assert served.names("route") == ["default/web/http"]


def test_an_ingress_that_is_being_deleted_is_not_served() -> None:
    """A finalizer does not keep it alive (ingress.md 17)."""
    leaving = Ingress(Metadata("web", "default", deletion_timestamp=START), WEB.spec)
    assert world(leaving).resources == {}


def test_an_ingress_moves_between_its_own_and_the_shared_listeners() -> None:
    """Its annotation decides, and nothing stays behind (issue 5)."""
    served = world(WEB, settings=Settings(listener_mode=ListenerMode.SHARED))
    assert served.routes("shared/http") == [("/", "default/app/80")]
    served.change(Upsert(ingress("web", rule({"/": "app:80"}), listener_mode="dedicated")))
    assert served.resource("route", "shared/http").get("virtual_hosts") is None
    assert served.routes("default/web/http") == [("/", "default/app/80")]
    assert served.listeners == {"default/web/http": 80, "shared/http": 80, "shared/https": 443}
    served.change(Upsert(WEB))
    assert served.names("route") == ["shared/http", "shared/https"]


def test_a_quarantined_ingress_is_translated_from_its_accepted_content() -> None:
    """What proxies rejected is replaced by what they accepted last, until the object changes (DESIGN 2)."""
    served = world(WEB)
    before = served.bytes
    rejected = ingress("web", rule({"/": "app:80", "/new": "app:80"}))
    served.change(Upsert(rejected))
    served.change(Quarantined(WEB.ref, WEB))
    assert served.bytes == before
    served.change(Upsert(rejected))
    assert served.routes("default/web/http") == [("/new", "default/app/80"), ("/", "default/app/80")]


def test_a_quarantined_ingress_that_was_never_accepted_is_left_out() -> None:
    """There is nothing to fall back to (DESIGN 2)."""
    served = world(WEB)
    served.change(Quarantined(WEB.ref, None))
    assert served.resources == {}


def test_an_ingress_without_a_legal_name_is_reported() -> None:
    """No resource can be named after it (DESIGN 5)."""
    odd = Ingress(Metadata("web@1", "default"), IngressSpec("nodegate"))
    assert world(odd).codes() == ["InvalidIngressName"]
