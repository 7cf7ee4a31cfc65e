"""Fixtures of the end-to-end tests: an Envoy to run, and a site that is started and ended."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from pathlib import Path

import pytest

from nodegate.demo.envoy_binary import ENVIRONMENT, cached_envoy, version_line
from nodegate.errors import UsageError
from tests.e2e.rig.addresses import free_port, own_loopback
from tests.e2e.rig.backend import NAMES, Backends
from tests.e2e.rig.demo import Demo, Start
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


@pytest.fixture(scope="session")
def backends(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backends]:
    """Return four backends on one port, each on a loopback address of its own."""
    port = free_port()
    backends = Backends({name: (own_loopback(), port) for name in NAMES}, tmp_path_factory.mktemp("backends") / "log")
    yield backends
    backends.stop()


@pytest.fixture
def site(envoy_binary: Path, backends: Backends, variant: str, tmp_path: Path) -> Iterator[Site]:
    """Return a site with nothing in it but an IngressClass; :meth:`Site.start` starts it."""
    site = Site(envoy_binary, backends, variant, tmp_path)
    try:
        yield site
    finally:
        site.stop()


@pytest.fixture
def shop(site: Site) -> Iterator[Site]:
    """Return a running site whose Ingress ``web`` is served by the Service ``blue``, answered by the backend blue.

    Whatever the test did: in the end Envoy must have rejected nothing it was sent, and nothing may be warming.
    """
    site.manifests.put(*site.service("blue", "blue"), site.ingress({"/": "blue"}))
    site.start()
    site.answers("blue", within=15)
    yield site
    site.envoy.require_content()


@pytest.fixture
def run(envoy_binary: Path, tmp_path: Path) -> Iterator[Start]:
    """Return what starts a demo; it is ended with the test, however that goes."""
    started: list[Demo] = []

    def start(*arguments: str, through: Sequence[str] = ()) -> Demo:
        started.append(Demo(envoy_binary, tmp_path, *arguments, through=through))
        return started[-1]

    yield start
    for demo in started:
        if demo.process.poll() is None:
            demo.process.kill()
        demo.finish()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the logs of the site next to a failure: the reason is rarely in the test."""
    report = yield
    site = getattr(item, "funcargs", {}).get("site")
    if report.failed and isinstance(site, Site):
        report.sections += site.logs()
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show what the tests under load have sent and what failed."""
    reports = [report for kind in ("passed", "failed") for report in terminalreporter.getreports(kind)]
    figures = {report.nodeid: dict(report.user_properties).get("load") for report in reports}
    if any(figures.values()):
        terminalreporter.section("load")
    for nodeid, line in figures.items():
        if line:
            terminalreporter.write_line(f"{nodeid}\n    {line}")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark everything below this folder as slow: it starts processes."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker("slow")
