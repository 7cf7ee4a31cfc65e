"""A skipped test fails the run where nothing may be skipped (decision 0004)."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

CONFTEST = Path(__file__).parent.parent / "conftest.py"
PLAIN = ("-p", "no:cacheprovider", "-p", "no:asyncio", "-p", "no:hypothesispytest", "-p", "no:looptime")


@pytest.fixture(autouse=True)
def _our_policy(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    pytester.makeconftest(CONFTEST.read_text())


def _make_one_that_skips(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        import pytest
        def test_runs(): pass
        @pytest.mark.skip(reason="no Envoy here; run make test")
        def test_skips(): pass
    """)


def test_a_skip_is_allowed_where_nobody_asked(pytester: pytest.Pytester) -> None:
    """On a developer's machine a test may skip, and the run stays green."""
    _make_one_that_skips(pytester)
    assert pytester.runpytest_inprocess(*PLAIN).ret == pytest.ExitCode.OK


def test_ci_forbids_skips_by_itself(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """``CI=true`` is as good as the option."""
    monkeypatch.setenv("CI", "true")
    _make_one_that_skips(pytester)
    assert pytester.runpytest_inprocess(*PLAIN).ret == pytest.ExitCode.TESTS_FAILED


@pytest.mark.slow
def test_a_skip_in_a_worker_fails_the_run(pytester: pytest.Pytester) -> None:
    """With xdist the controller learns of every skip."""
    _make_one_that_skips(pytester)
    assert pytester.runpytest_subprocess(*PLAIN, "--no-skips", "-n1").ret == pytest.ExitCode.TESTS_FAILED


def test_every_way_of_not_running_counts_and_is_named(pytester: pytest.Pytester) -> None:
    """A skipped test, a file skipped as a whole and an expected failure are all told with their reasons."""
    _make_one_that_skips(pytester)
    pytester.makepyfile(
        test_needs="import pytest\npytest.importorskip('nodegate_does_not_exist')",
        test_hopes="import pytest\n@pytest.mark.xfail(reason='some day')\ndef test_fails(): assert False",
    )
    result = pytester.runpytest_inprocess(*PLAIN, "--no-skips")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["test_hopes.py::test_fails: some day"])
    result.stdout.fnmatch_lines(["test_needs.py: could not import 'nodegate_does_not_exist'*"])
    result.stdout.fnmatch_lines(["*::test_skips: no Envoy here; run make test"])


def test_a_run_without_skips_is_green(pytester: pytest.Pytester) -> None:
    """The option fails nothing but skips."""
    pytester.makepyfile("def test_runs(): pass")
    assert pytester.runpytest_inprocess(*PLAIN, "--no-skips").ret == pytest.ExitCode.OK
