"""The manifests ask for exactly what the code does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from nodegate.source.kubernetes.resources import WATCHED

MANIFESTS = Path(__file__).resolve().parents[3] / "kind" / "manifests"
WRITTEN = {
    ("", "services"): {"create", "delete", "patch"},
    ("discovery.k8s.io", "endpointslices"): {"create", "delete", "patch"},
    ("networking.k8s.io", "ingresses/status"): {"patch"},
}


def _documents(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((MANIFESTS / name).read_text()))


def test_the_role_grants_what_is_watched_and_written_and_nothing_else() -> None:
    """A missing rule is a 403; one too many is a risk for nothing."""
    (role,) = (one for one in _documents("rbac.yaml") if one["kind"] == "ClusterRole")
    granted: dict[tuple[str, str], set[str]] = {}
    for rule in role["rules"]:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                granted.setdefault((group, resource), set()).update(rule["verbs"])
    used = {(resource.group, resource.plural): {"list", "watch"} for resource in WATCHED}
    assert granted == {key: used.get(key, set()) | WRITTEN.get(key, set()) for key in used.keys() | WRITTEN.keys()}


def test_the_class_is_ours() -> None:
    """By its controller (DESIGN 5)."""
    (made,) = _documents("ingressclass.yaml")
    assert made["kind"] == "IngressClass"
    assert made["spec"]["controller"] == "nodegate.dev/ingress-controller"
