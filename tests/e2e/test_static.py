"""``nodegate translate --static`` prints a configuration that Envoy takes as it is."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from nodegate.demo.example import bookinfo_folder
from tests.e2e.rig.processes import python


@pytest.mark.parametrize("form", ["yaml", "json"])
def test_the_static_configuration_of_the_example_is_accepted_by_envoy(
    envoy_binary: Path, tmp_path: Path, form: str
) -> None:
    """Envoy's own validation says OK, and translation finds no problem."""
    command = python("nodegate", "translate", "--static", "--output", form, str(bookinfo_folder()))
    translated = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (translated.returncode, translated.stderr) == (0, "")
    file = tmp_path / f"static.{form}"
    file.write_text(translated.stdout)
    checked = subprocess.run(
        [envoy_binary, "--mode", "validate", "-c", file], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stderr
    assert " OK" in checked.stdout + checked.stderr
