"""What is installed has its eBPF program with it."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

from nodegate_redirect.ebpf import program
from tools import bpf, wheel


def test_a_wheel_has_the_program_compiled_from_its_sources(tmp_path: Path) -> None:
    """Nobody needs a compiler on a node; where the module looks for it is where the wheel puts it."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    environment = {name: value for name, value in os.environ.items() if name != wheel.WITHOUT}
    subprocess.run(command, cwd=bpf.ROOT, check=True, capture_output=True, env=environment)
    (made,) = tmp_path.glob("*.whl")
    assert made.name.endswith("-py3-none-any.whl")
    with zipfile.ZipFile(made) as content:
        assert content.read(wheel.INSTALLED) == bpf.build().read_bytes()
    assert program.INSTALLED.parts[-3:] == Path(wheel.INSTALLED).parts


def test_a_checkout_runs_what_make_bpf_made_of_its_sources() -> None:
    """Another content of the sources is another file: an old program is never taken for a new one."""
    assert program.find_program() == bpf.build()
