"""What clients reject comes back to the objects that caused it (DESIGN 2, quarantine)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nodegate.debug.state import State
from nodegate.model.refs import Kind, Ref
from nodegate.snapshot.type_urls import LISTENER, REDIRECT, ROUTE
from tests.unit.debug.plane import AGENT_TYPES, DOOR, SHOP, Plane, plane, proxy

WEB = Ref(Kind.INGRESS, "shop", "web")
SECOND = Ref(Kind.INGRESS, "shop", "second")


def second(path: str) -> str:
    return f"""
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {{name: second, namespace: shop}}
spec:
  ingressClassName: nodegate
  rules:
  - http: {{paths: [{{path: {path}, pathType: Prefix, backend: {{service: {{name: web, port: {{number: 80}}}}}}}}]}}
"""


async def test_what_every_proxy_rejects_is_taken_back_and_tried_again_when_it_changes(tmp_path: Path) -> None:
    """The object goes back to its last accepted content, the others notice nothing, and a change ends it."""
    (tmp_path / "shop.yaml").write_text(SHOP)
    rejects: dict[str, str] = {}
    async with plane(tmp_path) as p, proxy(p.running, "n1", rejects):
        engine = p.running.engine
        await p.until("/debug/", lambda data: data["proxies_synced"] == 1)
        (tmp_path / "second.yaml").write_text(second("/good"))
        await p.until("/debug/", lambda data: data["listeners"].keys() == {"shop/web/http", "shop/second/http"})
        await p.until("/debug/", lambda data: data["proxies_synced"] == 1)
        accepted = engine.state.target.get(ROUTE, "shop/second/http")
        assert accepted is not None

        rejects["shop/second/http"] = "no such thing"
        (tmp_path / "second.yaml").write_text(second("/bad"))
        state = await engine.until(lambda state: SECOND in state.problems)
        (problem,) = state.problems[SECOND]
        assert problem.code == "RejectedByProxy"
        assert "no such thing" in problem.message
        now = engine.state.target.get(ROUTE, "shop/second/http")
        assert now is not None
        assert now.version == accepted.version

        rejects.clear()
        (tmp_path / "second.yaml").write_text(second("/better"))
        state = await engine.until(lambda state: SECOND not in state.problems)
        await p.until("/debug/", lambda data: data["proxies_synced"] == 1)
        now = engine.state.target.get(ROUTE, "shop/second/http")
        assert now is not None
        assert now.version != accepted.version


async def test_a_port_that_a_proxy_cannot_have_moves_the_listener_and_blames_nobody(tmp_path: Path) -> None:
    """Not a quarantine: the listener is offered at another port until the proxy can have it (redirect 5)."""
    (tmp_path / "shop.yaml").write_text(SHOP)
    async with plane(tmp_path) as p:
        first = p.running.engine.state.ports["shop/web/http"]
        words = f"cannot bind '0.0.0.0:{first}': Address already in use"
        async with proxy(p.running, "n1", {"shop/web/http": words}):
            state = await p.running.engine.until(lambda state: state.ports["shop/web/http"] != first)
            now = state.ports["shop/web/http"]
            assert state.target.get(LISTENER, f"shop/web/http@{now}") is not None
            assert state.target.get(LISTENER, f"shop/web/http@{first}") is None
            (problem,) = state.problems[WEB]
            assert problem.code == "PortRefused"
            assert all(str(part) in problem.message for part in (first, now, "n1"))


async def test_a_port_that_an_agent_finds_held_moves_the_listener_and_its_redirect(tmp_path: Path) -> None:
    """Envoy may share a port with another program without noticing; the agent sees whose socket it is (redirect 5)."""
    (tmp_path / "shop.yaml").write_text(SHOP + "---" + DOOR)
    held = {"shop/nodegate-web/80": "port held by nginx (pid 7): listener shop/web/http cannot have it"}

    def moved(state: State) -> bool:
        return state.ports["shop/web/http"] != first

    async with plane(tmp_path) as p:
        first = p.running.engine.state.ports["shop/web/http"]
        async with proxy(p.running, "n1", held, AGENT_TYPES):
            state = await p.running.engine.until(moved)
            held.clear()
            redirect = state.target.get(REDIRECT, "shop/nodegate-web/80")
            assert redirect is not None
            assert redirect.refs == ((LISTENER, f"shop/web/http@{state.ports['shop/web/http']}"),)
            assert [problem.code for problem in state.problems[WEB]] == ["PortRefused"]


async def test_what_an_agent_waits_for_moves_nothing(tmp_path: Path) -> None:
    """A listener that is not there yet is no port that is held (DESIGN 3.4)."""
    (tmp_path / "shop.yaml").write_text(SHOP + "---" + DOOR)
    waits = {"shop/nodegate-web/80": "waiting for listener shop/web/http"}
    async with plane(tmp_path) as p, proxy(p.running, "n1", waits, AGENT_TYPES):
        ports = dict(p.running.engine.state.ports)
        (shown,) = (await p.until("/debug/proxies", _says_something))["proxies"]
        assert shown["types"][0]["postponed"] == waits
        assert shown["role"] == "agent"
        assert p.running.engine.state.ports == ports
        assert not p.running.engine.state.problems.get(WEB)
        assert 'nodegate_redirects_not_installed{node="n1",reason="waiting for listener"} 1.0' in await metrics(p)
        assert "nodegate_agents 1.0" in await metrics(p)
        page = (await p.page("/debug/proxies", Accept="text/html"))[1]
        assert "is not installed: waiting for listener shop/web/http" in page
        assert "Redirect agent." in page


def _says_something(data: Any) -> bool:
    return any(of_type["postponed"] for proxy in data["proxies"] for of_type in proxy["types"])


async def metrics(p: Plane) -> str:
    return (await p.probe("/metrics"))[1]
