"""What a proxy rejects is told to people, costs its own object only, and gives nobody a veto (DESIGN 2, quarantine)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.e2e.rig.hostile import WORDS
from tests.e2e.rig.manifests import Manifest
from tests.e2e.rig.processes import Child, python
from tests.e2e.rig.site import Site


def problems(site: Site, code: str) -> list[dict[str, Any]]:
    """Return the problems with this code that the debug page shows."""
    return [one for one in site.server.debug("problems")["problems"] if one["code"] == code]


def rejections(site: Site) -> int:
    """Return how many responses Envoy rejected in all."""
    return sum(site.envoy.rejected().values())


@pytest.fixture
def started(site: Site) -> Site:
    """Return a running site whose Ingress ``web`` answers; unlike in ``shop``, Envoy may reject something.

    This Envoy takes no regular expression but the shortest, as one whose operator set so low a limit.
    """
    limit = {"name": "limit", "static_layer": {"re2.max_program_size.error_level": 3}}
    site.bootstrap["layered_runtime"] = {"layers": [limit]}
    site.manifests.put(*site.service("blue", "blue"), site.ingress({"/": "blue"}))
    site.start()
    site.answers("blue", within=15)
    return site


def picky(site: Site, path: str = "/a[bcd]*e") -> Manifest:
    """Return an Ingress that this Envoy rejects for its regular expression."""
    made = site.ingress({path: "blue"}, name="picky")
    made["metadata"]["annotations"] = {"nodegate.dev/path-regex": "full"}
    made["spec"]["rules"][0]["http"]["paths"][0]["pathType"] = "ImplementationSpecific"
    return made


@pytest.mark.timeout(120)
def test_what_the_only_proxy_rejects_is_named_on_its_object_and_everyone_else_goes_on(started: Site) -> None:
    """The Ingress shows it in Envoy's words, others change on (xds-protocol 12, 35)."""
    site = started
    site.manifests.put(picky(site))
    site.envoy.wait_until(lambda: problems(site, "RejectedByProxy"), what="the problem on the debug page")
    (problem,) = problems(site, "RejectedByProxy")
    assert (problem["kind"], problem["namespace"], problem["name"]) == ("Ingress", site.namespace, "picky")
    assert "RE2 program size" in problem["message"]

    before = rejections(site)
    site.manifests.put(*site.service("green", "green"), site.ingress({"/": "green"}))
    site.answers("green")
    assert rejections(site) == before, "the rejected content was sent again"
    assert 'nodegate_xds_responses_nacked_total{type="route"} 1.0' in site.server.metrics()
    assert site.server.log().count("A proxy rejected configuration") == 1


@pytest.mark.timeout(120)
def test_what_was_rejected_is_tried_again_when_its_object_changes(started: Site) -> None:
    """The object leaves quarantine with its next change, and is served when the proxy takes it then."""
    site = started
    site.manifests.put(picky(site))
    site.envoy.wait_until(lambda: problems(site, "RejectedByProxy"), what="the problem on the debug page")
    site.manifests.put(site.ingress({"/": "blue"}, name="picky"))
    site.envoy.wait_until(lambda: not problems(site, "RejectedByProxy"), what="the end of the problem")
    site.envoy.wait_until(lambda: site.get(ingress_name="picky").body == "blue", what="the new Ingress")


@pytest.mark.timeout(120)
def test_a_client_that_rejects_everything_neither_vetoes_nor_freezes_the_others(started: Site, tmp_path: Path) -> None:
    """Envoy gets every change; the problem says how many reject it, and ends with the hostile client."""
    site = started
    hostile = Child(python("tests.e2e.rig.hostile", site.server.xds_address), tmp_path / "hostile.log")
    try:
        site.envoy.wait_until(lambda: problems(site, "RejectedBySomeProxies"), what="the hostile client's rejections")
        assert WORDS in problems(site, "RejectedBySomeProxies")[0]["message"]
        assert "rejected by 1 of 2 proxies (hostile)" in problems(site, "RejectedBySomeProxies")[0]["message"]
        for colour in ("green", "red"):
            site.manifests.put(*site.service(colour, colour), site.ingress({"/": colour}))
            site.answers(colour)
        site.manifests.put(site.ingress({"/": "blue"}, name="new"))
        site.envoy.wait_until(lambda: site.get(ingress_name="new").body == "blue", what="the new Ingress")
        assert not problems(site, "RejectedByProxy")
        assert not rejections(site)
    finally:
        hostile.stop()
    site.envoy.wait_until(lambda: not problems(site, "RejectedBySomeProxies"), what="the end of the problem")
