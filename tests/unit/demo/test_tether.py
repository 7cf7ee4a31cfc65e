"""A tethered child never outlives the process that started it."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

from nodegate.demo import tether

STARTS_A_CHILD_AND_WAITS = """
import subprocess, sys, time
from nodegate.demo.tether import tethered
child = subprocess.Popen(tethered(["sleep", "1000"]), start_new_session=True)
print(child.pid, flush=True)
time.sleep(1000)
"""


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie that nobody has waited for does not."""
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False


def test_a_child_dies_when_its_parent_is_killed_without_warning() -> None:
    """SIGKILL of the parent leaves no child, although the child has a session of its own."""
    with subprocess.Popen([sys.executable, "-c", STARTS_A_CHILD_AND_WAITS], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert alive(child)
        parent.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 5
    while alive(child) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not alive(child)


def test_a_child_whose_parent_is_gone_already_does_not_start(tmp_path: Path) -> None:
    """Between fork and the wish to die with the parent, the parent may die: then the command never runs."""
    ran = tmp_path / "ran"
    status = subprocess.call([sys.executable, "-I", tether.__file__, "1", "touch", str(ran)])
    assert status == tether.PARENT_GONE
    assert not ran.exists()


def test_the_command_gets_its_arguments_unchanged() -> None:
    """Spaces and quotes go through: there is no shell in between."""
    said = subprocess.check_output(tether.tethered(["printf", "%s|", "a b", '"c"']), text=True)
    assert said == 'a b|"c"|'
