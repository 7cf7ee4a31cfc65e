"""Each folder here is a rule of Ingress: ``in.yaml`` is what a user writes, ``out.yaml`` what every Envoy gets.

``make goldens`` rewrites the ``out.yaml`` and removes those whose ``in.yaml`` is gone; read the difference before you
commit it. Envoy itself has to accept every one of them, and a second implementation of its API has to read the same.
"""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from nodegate.snapshot.type_urls import REDIRECT
from nodegate.translate.render import message_of
from nodegate.translate.static import static_configuration
from tests.golden.cases import CASES, FOLDER, Case, as_yaml, entries
from tests.golden.second_opinion import assert_reads_the_same

IDS = [case.folder.name for case in CASES]


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_what_every_envoy_gets(case: Case, request: pytest.FixtureRequest) -> None:
    """Translation makes of ``in.yaml`` exactly what ``out.yaml`` says."""
    made = as_yaml(case)
    if request.config.getoption("--rewrite-goldens", default=False):
        case.expected.write_text(made)
    assert case.expected.exists(), f"{case.expected} is missing: run `make goldens`"
    assert made == case.expected.read_text()


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_the_first_line_says_the_rule(case: Case) -> None:
    """A case is documentation: its first line is a sentence that cites a statement of the specification."""
    assert re.fullmatch(r"[A-Z].+\. \((ingress\.md|redirect|DESIGN) [0-9A-Z][0-9A-Z., ]*\)", case.rule), case.rule


def test_no_output_is_left_without_its_input(request: pytest.FixtureRequest) -> None:
    """An ``out.yaml`` whose ``in.yaml`` was removed proves nothing."""
    orphans = [path for path in sorted(FOLDER.glob("*/out.yaml")) if not path.with_name("in.yaml").exists()]
    if request.config.getoption("--rewrite-goldens", default=False):
        for orphan in orphans:
            orphan.unlink()
        return
    assert not orphans


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_envoy_accepts_it(case: Case, envoy_binary: Path, tmp_path: Path) -> None:
    """A real Envoy accepts the static form of every case."""
    configuration = tmp_path / "envoy.json"
    configuration.write_text(json.dumps(static_configuration(entries(case.translated()), case.facts)))
    command = [str(envoy_binary), "--mode", "validate", "-c", str(configuration), "-l", "error"]
    validated = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert validated.returncode == 0, validated.stdout + validated.stderr


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_a_second_implementation_reads_the_same(case: Case) -> None:
    """What Envoy is sent means the same to an implementation of its API that shares no code with ours."""
    for entry in entries(case.translated()):
        if entry.type_url == REDIRECT:
            continue  # for our agents
        assert_reads_the_same(message_of(entry.resolve(case.facts)))
