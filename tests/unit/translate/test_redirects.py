"""Which redirects agents are told of: one for each port of an Ingress' Service whose listener has a port."""

from __future__ import annotations

from typing import Any

import pytest

from nodegate.model.changes import Claimed, Delete, Upsert
from nodegate.model.objects import Service, ServicePort, ServiceSpec
from nodegate.model.problem import ProblemCode
from nodegate.model.refs import Kind, Ref
from nodegate.snapshot.type_urls import LISTENER, REDIRECT, SEND_ORDER
from nodegate.translate.codes import (
    FRONTEND_CONFLICT,
    FRONTEND_FAMILY_NOT_BOUND,
    INVALID_FRONTEND,
    INVALID_SOURCE_RANGE,
    SOURCE_RANGES_NOT_ENFORCED,
)
from nodegate.translate.redirects import SOURCE_RANGES_ANNOTATION
from nodegate.translate.settings import Expose, Families, ListenerMode, Settings
from tests.certificates import pair
from tests.unit.translate.objects import claimed, front_door, ingress, ingress_class, secret, service, tls, upserts
from tests.unit.translate.world import World

BASE = (ingress_class("nodegate"), ingress("web", default="app:80"), ingress("api", default="app:80"))
WEB, API = "default/nodegate-web/80", "default/nodegate-api/80"
LISTENERS = ("default/web/http", "default/api/http")


def world_with(*services: Service, settings: Settings | None = None) -> World:
    return World(*upserts(*BASE, *services), *claimed(*LISTENERS, "shared/http"), settings=settings)


def frontends(world: World, name: str) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = world.resource("redirect", name)["frontends"]
    return listed


def test_redirects_are_sent_last() -> None:
    """Clusters first, redirects last (DESIGN 2.4)."""
    assert SEND_ORDER[-1] == REDIRECT


def test_no_redirect_before_the_listener_has_a_port_and_a_new_port_changes_it() -> None:
    """No listener before its claim, so no redirect either; it names the listener it leads to (redirect 2)."""
    world = World(*upserts(*BASE, front_door("web")))
    assert not world.names("redirect")
    world.change(Claimed("default/web/http", 18_243))
    assert world.resource("redirect", WEB)["listener"] == {"name": "default/web/http@18243", "port": 18_243}
    changed = world.change(Claimed("default/web/http", 18_244))
    assert changed.resources[REDIRECT, WEB] is not None
    assert changed.resources[LISTENER, "default/web/http@18243"] is None
    assert world.resources[REDIRECT, WEB].refs == ((LISTENER, "default/web/http@18244"),)


def test_a_service_without_an_address_has_no_redirect_until_it_gets_one() -> None:
    """An API server gives the address later than nodegate asks for it (redirect 1)."""
    world = world_with(front_door("web", spec=ServiceSpec(cluster_ip="None")))
    assert not world.names("redirect")
    world.change(Upsert(front_door("web", spec=ServiceSpec(cluster_ip="None"), node_ports=(31_907, 0))))
    assert frontends(world, WEB) == [{"node_port": 31_907, "protocol": "PROTOCOL_TCP"}]


@pytest.mark.parametrize(
    "stranger",
    [
        service("nodegate-web", spec=ServiceSpec(cluster_ip="10.96.0.1")),
        service("other", spec=ServiceSpec(cluster_ip="10.96.0.1"), ingress="web"),
        service("nodegate-web", spec=ServiceSpec(cluster_ip="10.96.0.1"), namespace="shop", ingress="web"),
    ],
    ids=["the name alone", "the annotation alone", "another namespace"],
)
def test_what_only_looks_like_the_service_of_an_ingress_is_left_alone(stranger: Service) -> None:
    """A Service that is not ours is never taken over (DESIGN 5)."""
    assert not world_with(stranger).names("redirect")


def test_an_external_name_and_other_protocols_are_no_frontends() -> None:
    """What kube-proxy does not serve, nothing redirects (redirect 1)."""
    outside = front_door("web", spec=ServiceSpec("ExternalName", "10.96.0.1", external_name="x.example"))
    udp = service("nodegate-api", ServicePort(80, protocol="UDP"), spec=ServiceSpec(cluster_ip="10.96.0.1"))
    assert not world_with(outside, udp).names("redirect")


@pytest.mark.parametrize("expose", list(Expose))
def test_listeners_on_the_nodes_own_ports_have_no_redirect(expose: Expose) -> None:
    """With ``--expose host`` no agent is needed (DESIGN 7)."""
    door = service("nodegate", namespace="nodegate-system", spec=ServiceSpec(cluster_ip="10.96.0.1"))
    world = world_with(door, settings=Settings(listener_mode=ListenerMode.SHARED, expose=expose))
    assert world.names("redirect") == (["nodegate-system/nodegate/80"] if expose is Expose.REDIRECT else [])


@pytest.mark.parametrize("expose", list(Expose))
def test_source_ranges_that_clients_of_the_nodes_ports_pass_by_are_told_of(expose: Expose) -> None:
    """The Service of the shared listeners cannot close ports of the nodes: who wrote its ranges has to know."""
    spec = ServiceSpec(cluster_ip="10.96.0.1", load_balancer_source_ranges=("192.0.2.0/24",))
    door = service("nodegate", namespace="nodegate-system", spec=spec)
    world = world_with(door, settings=Settings(listener_mode=ListenerMode.SHARED, expose=expose))
    found = [(problem.code, problem.field) for problem in world.problems.get(door.ref, ())]
    told = [(SOURCE_RANGES_NOT_ENFORCED.code, "spec.loadBalancerSourceRanges[0]")]
    assert found == (told if expose is Expose.HOST else [])
    world.change(Upsert(service("nodegate", namespace="nodegate-system", spec=ServiceSpec(cluster_ip="10.96.0.1"))))
    assert not world.problems.get(door.ref)


def test_the_oldest_of_those_that_want_an_address_gets_it_until_it_is_gone() -> None:
    """Oldest wins, and the loser is told who has it (DESIGN 5)."""
    spec = ServiceSpec(external_ips=("192.0.2.1",))
    old, young = front_door("api", spec=spec, age=1), front_door("web", spec=spec, age=2)
    world = world_with(young)
    assert world.names("redirect") == [WEB]
    world.change(Upsert(old))
    assert world.names("redirect") == [API]
    assert [problem.code for problem in world.problems[young.ref]] == [FRONTEND_CONFLICT.code]
    assert "default/nodegate-api" in world.problems[young.ref][0].message
    world.change(Delete(old.ref))
    assert world.names("redirect") == [WEB]
    assert not world.problems.get(young.ref)


def test_one_address_on_two_ports_is_two_frontends() -> None:
    """Services may share an external IP when their ports differ (redirect 1)."""
    spec = ServiceSpec(external_ips=("192.0.2.1",))
    web = service("nodegate-web", ("http", 80), spec=spec, ingress="web")
    api = service("nodegate-api", ("http", 8080), ("https", 443), spec=spec, ingress="api")
    world = World(*upserts(*BASE, secret("cert", pair("a.example").data), web, api))
    world.change(Upsert(ingress("api", default="app:80", tls=(tls("cert", "a.example"),))))
    world.change(*claimed("default/web/http", "default/api/https"))
    assert world.names("redirect") == ["default/nodegate-api/443", WEB]
    assert not world.problems.get(web.ref)


def test_an_external_address_that_is_also_the_load_balancers_is_restricted() -> None:
    """Where kube-proxy's modes differ, the closed way counts (redirect 1)."""
    spec = ServiceSpec(external_ips=("192.0.2.1",), load_balancer_source_ranges=("10.0.0.0/8",))
    (found,) = frontends(world_with(front_door("web", spec=spec, balanced=("192.0.2.1",))), WEB)
    assert found["restricted"]


def test_ranges_of_the_field_count_before_those_of_the_annotation() -> None:
    """As in Kubernetes' own reading of the two (redirect 1)."""
    spec = ServiceSpec(load_balancer_source_ranges=("10.0.0.0/8",))
    written = {SOURCE_RANGES_ANNOTATION: " 192.0.2.0/24 , 198.51.100.0/24"}
    both = world_with(front_door("web", spec=spec, balanced=("203.0.113.1",), annotations=written))
    assert both.resource("redirect", WEB)["source_ranges"] == ["10.0.0.0/8"]
    old = world_with(front_door("web", spec=ServiceSpec(), balanced=("203.0.113.1",), annotations=written))
    assert old.resource("redirect", WEB)["source_ranges"] == ["192.0.2.0/24", "198.51.100.0/24"]


def test_without_ranges_nothing_is_restricted() -> None:
    """An empty annotation is no declaration (redirect 1)."""
    (found,) = frontends(
        world_with(
            front_door(
                "web", spec=ServiceSpec(), balanced=("203.0.113.1",), annotations={SOURCE_RANGES_ANNOTATION: " "}
            )
        ),
        WEB,
    )
    assert "restricted" not in found


@pytest.mark.parametrize(
    ("spec", "code", "field"),
    [
        (ServiceSpec(load_balancer_source_ranges=("x",)), INVALID_SOURCE_RANGE, "spec.loadBalancerSourceRanges[0]"),
        (ServiceSpec(external_ips=("::ffff:192.0.2.1",)), INVALID_FRONTEND, "spec.externalIPs[0]"),
        (ServiceSpec(cluster_ips=("fe80::1%eth0",)), INVALID_FRONTEND, "spec.clusterIPs[0]"),
        (ServiceSpec(cluster_ip="127.0.0.1"), INVALID_FRONTEND, "spec.clusterIP"),
        (ServiceSpec(external_ips=("nowhere",)), INVALID_FRONTEND, "spec.externalIPs[0]"),
    ],
    ids=str,
)
def test_what_cannot_be_a_frontend_is_a_problem_and_harms_nobody(
    spec: ServiceSpec, code: ProblemCode, field: str
) -> None:
    """The rest of the Service, and every other Service, is redirected all the same (DESIGN 3.2)."""
    world = world_with(
        front_door("web", spec=spec, balanced=("203.0.113.1",)),
        front_door("api", spec=ServiceSpec(cluster_ip="10.96.0.9")),
    )
    assert world.names("redirect") == [API, WEB]
    (problem,) = world.problems[Ref(Kind.SERVICE, "default", "nodegate-web")]
    assert (problem.code, problem.field) == (code.code, field)
    assert problem.message.endswith(".")
    assert not world.problems.get(Ref(Kind.SERVICE, "default", "nodegate-api"))


def test_an_address_of_a_family_that_no_listener_binds_is_left_out_and_told() -> None:
    """An agent would wait for its socket for ever; with listeners of both families it is redirected (redirect 1)."""
    of_both = front_door("web", spec=ServiceSpec(cluster_ips=("10.96.0.1", "fd00::1")))
    told = world_with(of_both)
    assert [one["address"]["ip"] for one in frontends(told, WEB)] == ["10.96.0.1"]
    (problem,) = told.problems[of_both.ref]
    assert (problem.code, problem.field) == (FRONTEND_FAMILY_NOT_BOUND.code, "spec.clusterIPs[1]")
    both = world_with(of_both, settings=Settings(families=Families.DUAL))
    assert [one["address"]["ip"] for one in frontends(both, WEB)] == ["10.96.0.1", "fd00::1"]


def test_a_change_of_one_service_makes_its_redirect_and_no_other() -> None:
    """5,000 Services cost what the one that changes costs (DESIGN 3.1)."""
    world = world_with(
        *(front_door(name, spec=ServiceSpec(cluster_ip=f"10.96.0.{n}")) for n, name in ((1, "web"), (2, "api")))
    )
    changed = world.change(Upsert(front_door("web", spec=ServiceSpec(cluster_ip="10.96.0.7"))))
    assert world.work == {"redirect": 1}
    assert list(changed.resources) == [(REDIRECT, WEB)]
    assert not world.change(Upsert(front_door("web", spec=ServiceSpec(cluster_ip="10.96.0.7")))).resources


def test_what_was_asked_for_is_forgotten_with_its_service() -> None:
    """An index in use for months holds what exists, not what ever existed."""
    world = world_with(front_door("web"))
    world.change(Delete(front_door("web").ref))
    assert not world.index.asked
    assert not world.index.claimants
