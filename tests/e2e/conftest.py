"""Fixtures of the end-to-end tests: an Envoy to run, and a site that is started and ended."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from nodegate.demo.envoy_binary import ENVIRONMENT, cached_envoy, version_line
from nodegate.errors import UsageError
from tests.e2e.rig.site import Site

VARIANTS = ("delta", "sotw")


@pytest.fixture(scope="session")
def envoy_binary() -> Path:
    """Return a real Envoy that runs here; tests download nothing."""
    binary = cached_envoy()
    if binary is None:
        pytest.skip(f"no Envoy: run `python -m nodegate.demo.envoy_binary` to install one, or set {ENVIRONMENT}")
    try:
        version_line(binary)
    except UsageError as error:
        pytest.skip(f"no Envoy: {error}")
    return binary


@pytest.fixture(params=VARIANTS)
def variant(request: pytest.FixtureRequest) -> str:
    """Return each variant of the protocol: what holds for one has to hold for the other."""
    return str(request.param)


@pytest.fixture
def site(envoy_binary: Path, variant: str, tmp_path: Path) -> Iterator[Site]:
    """Return a site with nothing in it but an IngressClass; :meth:`Site.start` starts it."""
    site = Site(envoy_binary, variant, tmp_path)
    try:
        yield site
    finally:
        site.stop()


@pytest.fixture
def shop(site: Site) -> Site:
    """Return a running site whose Ingress ``web`` is served by the Service ``blue``, answered by the backend blue."""
    site.manifests.put(*site.service("blue", "blue"), site.ingress({"/": "blue"}))
    site.start()
    site.answers("blue", within=15)
    return site
