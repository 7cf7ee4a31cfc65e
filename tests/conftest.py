"""What holds for every test: a skipped test has a reason, and where nothing may be skipped it fails the run.

A test skips for one cause only: this machine lacks something it needs, and the reason says what and how to get it.
``--no-skips`` (the default where the environment says ``CI=true``) lists the reasons and fails, so that a green run
there means that every test ran. An expected failure counts as a skip.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator

import hypothesis
import pytest

hypothesis.settings.register_profile("nodegate", deadline=None)  # a slow machine is no counter-example
hypothesis.settings.register_profile("full", deadline=None, max_examples=2000)
# Few examples, and always the same: what a mutant did must not be luck (tools/mutants.py). Nobody reads the example
# that kills one, so it is not made small: that takes a minute, finding it a second.
hypothesis.settings.register_profile(
    "mutants",
    deadline=None,
    max_examples=10,
    derandomize=True,
    database=None,
    phases=(hypothesis.Phase.explicit, hypothesis.Phase.generate),
)
hypothesis.settings.load_profile("nodegate")


class SkipLedger:
    """Every skip of this run: where, and why. With xdist it is the controller that keeps it."""

    def __init__(self, *, forbidden: bool) -> None:
        self.forbidden = forbidden
        self.reasons: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note a test that did not run, or was expected to fail."""
        if report.skipped:
            self.reasons[report.nodeid] = getattr(report, "wasxfail", "") or _reason(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Note a whole file that did not run."""
        if report.skipped:
            self.reasons[report.nodeid] = _reason(report)

    @pytest.hookimpl(wrapper=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Iterator[None]:
        """Fail a run that would be green although not every test ran."""
        if self.forbidden and self.reasons and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        yield

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say which tests did not run, where that is a failure."""
        if not (self.forbidden and self.reasons):
            return
        terminalreporter.section("skipped, and that is a failure here", red=True, bold=True)
        for nodeid, reason in sorted(self.reasons.items()):
            terminalreporter.write_line(f"{nodeid}: {reason}")


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    where = report.longrepr
    return str(where[2] if isinstance(where, tuple) else where).removeprefix("Skipped: ")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--no-skips``."""
    parser.addoption(
        "--no-skips",
        action="store_true",
        default=os.environ.get("CI", "").lower() in {"1", "true"},
        help="fail when any test was skipped (default where CI=true)",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Keep a ledger of skips, once per run: xdist's workers report to the controller.

    And make no event loop by accident: looptime asks for the current one before tests without any, which on Python 3.11
    makes one that nobody closes, and some later test would fail for it. Said once, there is none unless somebody
    makes it.
    """
    asyncio.set_event_loop(None)
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(SkipLedger(forbidden=config.getoption("no_skips")), "nodegate-skips")
