"""What clients reject comes back to the objects that caused it (DESIGN 2, quarantine)."""

from __future__ import annotations

from pathlib import Path

from nodegate.model.refs import Kind, Ref
from nodegate.snapshot.type_urls import ROUTE
from tests.unit.debug.plane import SHOP, plane, proxy

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
