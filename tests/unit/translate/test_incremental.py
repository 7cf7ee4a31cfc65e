"""A change costs what depends on it, counted as things made, and nothing else (DESIGN 3.1)."""

from __future__ import annotations

import pytest

from nodegate.model.changes import Claimed, Delete, Upsert
from nodegate.model.objects import Object
from nodegate.snapshot.type_urls import CLUSTER, ENDPOINT, LISTENER, ROUTE
from tests.unit.translate.objects import claimed, endpoints, ingress, ingress_class, rule, service, upserts
from tests.unit.translate.world import World

LISTENER_NAMES = tuple(f"default/site-{number}/http" for number in range(20))


@pytest.fixture
def world() -> World:
    """Twenty Ingresses with a Service and an endpoint each."""
    objects: list[Object] = [ingress_class("nodegate")]
    for number in range(20):
        objects += [
            ingress(f"site-{number}", rule({"/": f"app-{number}:80"}, host=f"site-{number}.example")),
            service(f"app-{number}"),
            endpoints(f"app-{number}", f"10.0.0.{number}"),
        ]
    return World(*upserts(*objects), *claimed(*LISTENER_NAMES))


def test_an_endpoint_slice_makes_one_cluster_load_assignment_and_nothing_else(world: World) -> None:
    changed = world.change(Upsert(endpoints("app-7", "10.0.0.7", "10.0.0.77")))
    assert world.work == {"endpoints": 1}
    assert list(changed.resources) == [(ENDPOINT, "default/app-7/80")]
    assert not changed.problems
    assert not changed.listeners


def test_an_endpoint_slice_of_no_served_service_makes_nothing(world: World) -> None:
    changed = world.change(Upsert(endpoints("somebody-else", "10.0.0.7")))
    assert world.work == {}
    assert not changed.resources


def test_an_endpoint_slice_with_the_content_it_had_changes_nothing(world: World) -> None:
    assert not world.change(Upsert(endpoints("app-7", "10.0.0.7"))).resources


def test_a_slice_that_moves_to_another_service_changes_both(world: World) -> None:
    changed = world.change(Upsert(endpoints("app-8", "10.0.0.7", name="app-7-1")))
    assert set(changed.resources) == {(ENDPOINT, "default/app-7/80"), (ENDPOINT, "default/app-8/80")}
    assert world.addresses("default/app-7/80") == []
    assert world.addresses("default/app-8/80") == ["10.0.0.7:8080", "10.0.0.8:8080"]


def test_an_ingress_makes_its_own_virtual_host_and_routes(world: World) -> None:
    changed = world.change(Upsert(ingress("site-3", rule({"/": "app-4:80"}, host="site-3.example"))))
    assert world.work == {"plan": 1, "virtual host": 1, "route configuration": 1, "listener": 1}
    assert changed.resources.keys() == {
        (ROUTE, "default/site-3/http"),
        (CLUSTER, "default/app-3/80"),
        (ENDPOINT, "default/app-3/80"),
    }
    assert changed.resources[CLUSTER, "default/app-3/80"] is None


def test_a_service_makes_its_cluster_and_endpoints_only(world: World) -> None:
    """Its ports are what they were, so no route can depend on the change (DESIGN 3.1)."""
    world.change(Upsert(service("app-5")))
    assert world.work == {"cluster": 1, "endpoints": 1}


def test_a_service_whose_ports_change_makes_the_hosts_that_lead_to_it(world: World) -> None:
    world.change(Upsert(service("app-5", ("web", 80))))
    assert world.work == {"virtual host": 1, "route configuration": 1, "cluster": 1, "endpoints": 1}


def test_a_claim_makes_one_listener_and_a_new_port_is_a_new_listener(world: World) -> None:
    """A listener's address is never updated: the port is part of its name (DESIGN 3.5)."""
    changed = world.change(Claimed("default/site-3/http", 19_000))
    assert world.work == {"listener": 1}
    assert changed.resources.keys() == {
        (LISTENER, "default/site-3/http@18003"),
        (LISTENER, "default/site-3/http@19000"),
    }
    assert changed.resources[LISTENER, "default/site-3/http@18003"] is None


def test_an_ingress_class_concerns_every_ingress(world: World) -> None:
    changed = world.change(Delete(ingress_class("nodegate").ref), Upsert(ingress_class("other", controller="x/y")))
    assert world.resources == {}
    assert all(entry is None for entry in changed.resources.values())
    assert changed.listeners == dict.fromkeys(LISTENER_NAMES)


def test_what_was_made_is_forgotten_when_its_objects_are_gone(world: World) -> None:
    """An index in use for months holds what exists, not what ever existed."""
    refs = [Upsert(content).ref for content in world.index.objects.ingresses.values()]
    world.change(*map(Delete, refs), *(Claimed(listener, None) for listener in LISTENER_NAMES))
    index = world.index
    held = (index.plans, index.frontends, index.cluster_users, index.clusters_of, index.service_users, index.emitted)
    assert not any(held)
    assert not any((index.wanted, index.listening, world.resources, world.problems, index.findings._by_object))
