"""What is wrong in one file leaves everything else as it is, and says so where people look."""

from __future__ import annotations

import subprocess

import pytest

from tests.e2e.rig.manifests import ingress, service
from tests.e2e.rig.processes import python
from tests.e2e.rig.site import Site

BROKEN_YAML = "kind: Ingress\n  metadata: {name: [\n"


def lint(site: Site) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        python("nodegate", "lint", str(site.manifests.path)), capture_output=True, text=True, check=False
    )


def problems(site: Site) -> str:
    return str(site.server.debug("problems"))


def test_a_file_that_is_no_yaml_is_named_and_everything_else_goes_on(shop: Site) -> None:
    """The error names the file, in lint and on the debug page; later edits are still applied."""
    shop.manifests.write("broken.yaml", BROKEN_YAML)
    shop.envoy.wait_until(lambda: "broken.yaml" in problems(shop), what="the problem on the debug page")
    shop.answers("blue")
    shop.manifests.put(*shop.service("green", "green"), shop.ingress({"/": "green"}))
    shop.answers("green")
    linted = lint(shop)
    assert linted.returncode != 0
    assert "broken.yaml" in linted.stdout + linted.stderr
    (shop.manifests.path / "broken.yaml").unlink()
    shop.envoy.wait_until(lambda: "broken.yaml" not in problems(shop), what="the end of the problem")


def test_a_file_that_stops_parsing_keeps_its_last_good_objects_across_a_restart(shop: Site) -> None:
    """The Ingress that was in it is served on, also by the next control plane (quarantine at the source, DESIGN 2)."""
    (file,) = shop.manifests.path.glob("ingress.*")
    shop.manifests.write(file.name, BROKEN_YAML)
    shop.envoy.wait_until(lambda: file.name in problems(shop), what="the problem on the debug page")
    shop.answers("blue")
    shop.server.kill()
    shop.server.start()
    shop.answers("blue")
    shop.manifests.put(*shop.service("green", "green"), shop.ingress({"/": "green"}))
    shop.answers("green", within=10)


@pytest.mark.parametrize(
    "wrong",
    [
        {"spec": {"rules": "none"}},
        {"spec": {"rules": [{"http": {"paths": [{"path": "/x", "pathType": "Sideways", "backend": {}}]}}]}},
        {"metadata": {"namespace": "somewhere"}},
    ],
    ids=["a field of the wrong type", "a value the API does not know", "no name"],
)
def test_an_object_that_does_not_decode_is_reported_and_the_others_are_served(
    shop: Site, wrong: dict[str, object]
) -> None:
    """A wrong object costs itself only."""
    bad = ingress(shop.namespace, "bad", {"/": "blue"}) | wrong
    shop.manifests.write("bad.yaml", str(bad).replace("'", '"'))
    shop.envoy.wait_until(lambda: "bad.yaml" in problems(shop) or "/bad" in problems(shop), what="the problem")
    shop.manifests.put(*shop.service("green", "green"), shop.ingress({"/": "blue", "/green": "green"}))
    shop.answers("green", "/green")
    assert lint(shop).returncode != 0


def test_a_path_that_envoy_could_not_match_is_left_out_and_its_neighbours_are_served(shop: Site) -> None:
    """A path with ``?`` would make Envoy reject the whole route configuration (ingress 8)."""
    shop.manifests.put(*shop.service("green", "green"), shop.ingress({"/": "blue", "/a?b": "green", "/green": "green"}))
    shop.answers("green", "/green")
    shop.answers("blue")


def test_a_service_that_is_named_but_not_there_is_a_problem_that_names_the_field(shop: Site) -> None:
    """The problem says which path of which Ingress, and goes when the Service comes."""
    shop.manifests.put(shop.ingress({"/": "blue", "/gone": "gone"}))
    shop.envoy.wait_until(lambda: "paths[1]" in problems(shop), what="the problem")
    shop.manifests.put(service(shop.namespace, "gone"))
    shop.envoy.wait_until(lambda: "paths[1]" not in problems(shop), what="the end of the problem")
