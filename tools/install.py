"""Make ``.venv`` what the lock file says it is (``make install``).

Needs nothing but Python's standard library, pip and a package registry; every ``PIP_*`` variable is respected. It
does nothing when ``.venv`` is up to date: a stamp in it holds a hash of everything it was made from. Every package
is checked against the hashes of the lock file, the build backend of nodegate itself among them.

Written so that an older Python can still read it: it has to be able to say what is wrong.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Iterator  # noqa: UP035  # an older Python has to be able to read this file

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / "stamp"
BASE = VENV / "base"
LOG = VENV / "install.log"
LOCK_FILE = ROOT / "requirements" / "dev.txt"
VIRTUALENV_LOCK = ROOT / "requirements" / "virtualenv.txt"
DEBIAN_PACKAGES = ROOT / "tools" / "debian-packages.txt"
OLDEST_PYTHON = (3, 11)
NEWER_PYTHONS = ("python3.13", "python3.12", "python3.11")
LOG_TAIL = 40
PROGRESS_STEP = 10


class InstallError(Exception):
    """Something that has to be there cannot be installed. The text says what to do about it."""


def main() -> None:
    """Install what is missing and say what is being done; end with status 1 where that cannot be done."""
    use_new_enough_python()
    try:
        install_debian_packages()
        VENV.mkdir(exist_ok=True)
        with locked():
            if STAMP.is_file() and STAMP.read_text() == fingerprint():
                return
            install_venv()
    except InstallError as error:
        sys.exit(f"install: {error}")


def use_new_enough_python() -> None:
    """Go on in a Python that is new enough, where ``python3`` is not one."""
    if sys.version_info[:2] >= OLDEST_PYTHON:
        return
    running = "{}.{}".format(*sys.version_info[:2])
    for name in NEWER_PYTHONS:
        path = shutil.which(name)
        if path:
            say(f"{sys.executable} is Python {running}; going on with {path}")
            os.execv(path, [path, __file__])
    sys.exit(
        f"install: nodegate needs Python 3.11 or newer and {sys.executable} is {running}. Install one, or name it: "
        "make install PYTHON3=/path/to/python3.11"
    )


# --- Debian packages ---------------------------------------------------------------------------------------------


def install_debian_packages() -> None:
    """Install the Debian packages whose probe finds nothing; not as root, or not on Debian: name them and go on."""
    missing = [package for package, probe, _ in debian_packages() if not present(probe)]
    if not missing:
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        reasons = "; ".join(f"{name} ({why})" for name, _, why in debian_packages() if name in missing)
        say(f"missing and not installable by this user, going on without: {reasons}")
        return
    names = " ".join(missing)
    say(f"installing Debian packages: {names}")
    if not apt_get("install", *missing):
        apt_get("update")
        if not apt_get("install", *missing):
            say(f"apt-get could not install {names}; going on without")


def debian_packages() -> list[tuple[str, str, str]]:
    """Return package, probe and reason of every line of the list."""
    lines = [line.split(None, 2) for line in DEBIAN_PACKAGES.read_text().splitlines()]
    return [(line[0], line[1], line[2]) for line in lines if line and not line[0].startswith("#")]


def present(probe: str) -> bool:
    """Say whether what a probe names is on this machine."""
    kind, _, name = probe.partition(":")
    if kind == "import":
        importlib.invalidate_caches()  # apt-get may just have brought it
        return importlib.util.find_spec(name) is not None
    if kind == "command":
        return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin") is not None
    if kind == "file":
        return Path(name).exists()
    raise InstallError(f"{DEBIAN_PACKAGES.name}: unknown probe {probe!r}; use import:, command: or file:")


def apt_get(command: str, *packages: str) -> bool:
    """Run apt-get without questions and say whether it succeeded."""
    options = ["-qq", "--yes", "--no-install-recommends"] if command == "install" else ["-qq"]
    environment = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    call = ["apt-get", command, *options, *packages]
    return subprocess.run(call, env=environment, stdin=subprocess.DEVNULL, check=False).returncode == 0


# --- The virtual environment -------------------------------------------------------------------------------------


@contextlib.contextmanager
def locked() -> Iterator[None]:
    """Let one installation at a time work on ``.venv``; a second one waits and then finds it up to date."""
    with (VENV / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another installation in .venv")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def fingerprint() -> str:
    """Return a hash of what ``.venv`` is made from: lock file, packaging, this script, the Python, the place."""
    digest = hashlib.sha256()
    for path in (LOCK_FILE, ROOT / "pyproject.toml", Path(__file__)):
        digest.update(path.read_bytes())
    digest.update(base().encode())
    return digest.hexdigest()


def base() -> str:
    """Return what an environment cannot survive a change of: its Python, and its place (scripts name it)."""
    return "\n".join([sys.version, os.path.realpath(sys.executable), str(VENV)])


def install_venv() -> None:
    """Create ``.venv`` where there is none for this Python, install the locked packages and nodegate itself."""
    remove(STAMP)
    LOG.write_text("")
    if not BASE.is_file() or BASE.read_text() != base():
        remove(BASE)
        create_venv()
        BASE.write_text(base())
    wanted = sum(1 for line in LOCK_FILE.read_text().splitlines() if "==" in line and not line.startswith(" "))
    say(f"installing {wanted} locked packages into .venv (log: .venv/install.log)")
    pip(str(PYTHON), "install", "--require-hashes", "--requirement", str(LOCK_FILE), expected=wanted)
    say("installing nodegate itself, editable")
    pip(str(PYTHON), "install", "--no-deps", "--no-build-isolation", "--editable", str(ROOT))
    STAMP.write_text(fingerprint())
    say("done")


def create_venv() -> None:
    """Create the environment with venv, or with virtualenv where this Python's venv cannot bring pip along."""
    for name in ("bin", "include", "lib", "lib64"):
        remove(VENV / name)
    if present("import:ensurepip"):
        say(f"creating .venv with {sys.executable} (Python {sys.version.split()[0]})")
        run([sys.executable, "-m", "venv", str(VENV)])
        return
    say("creating .venv with virtualenv: this Python has no ensurepip (Debian: python3-venv)")
    home = VENV / "virtualenv"
    pip(sys.executable, "install", "--require-hashes", "--target", str(home), "--requirement", str(VIRTUALENV_LOCK))
    run([sys.executable, "-m", "virtualenv", "--quiet", str(VENV)], PYTHONPATH=str(home))


def remove(path: Path) -> None:
    """Remove a file, a link or a folder that may not be there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(str(path))
    elif path.is_symlink() or path.exists():
        path.unlink()


def pip(python: str, *arguments: str, expected: int = 0) -> None:
    """Run pip of one Python, showing how many of ``expected`` packages it has come to."""
    seen = 0
    for line in output_of([python, "-m", "pip", "--no-input", "--disable-pip-version-check", *arguments]):
        if line.startswith("Collecting "):
            seen += 1
            if expected and seen % PROGRESS_STEP == 0:
                name = line.split()[1].split("=")[0]
                say(f"  {seen} of {expected}: {name}")
        elif line.startswith("Installing collected"):
            say("  unpacking")


def run(call: list[str], **environment: str) -> None:
    """Run a command to its end, its output going to the log only."""
    for _ in output_of(call, **environment):
        pass


def output_of(call: list[str], **environment: str) -> Iterator[str]:
    """Yield the lines a command prints, keeping them in the log; when it fails, show the last ones and give up."""
    process = subprocess.Popen(
        call,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=dict(os.environ, PYTHONUNBUFFERED="1", **environment),
    )
    with LOG.open("a") as log:
        for line in process.stdout or ():
            log.write(line)
            yield line
    if process.wait() != 0:
        tail = LOG.read_text().splitlines()[-LOG_TAIL:]
        sys.stderr.write("\n".join(tail) + "\n")
        raise InstallError(f"failed: {' '.join(call)} (the whole output: {LOG})")


def say(text: str) -> None:
    """Print one line of progress at once."""
    sys.stdout.write(f"install: {text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
