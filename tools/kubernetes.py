"""The programs of a real Kubernetes API for the tests: found, or built once (``python -m tools.kubernetes``).

``KUBEBUILDER_ASSETS`` names a folder that has them. Without it they are built from the Go modules that
``tests/kube/go.mod`` pins, into the user's cache: 10 to 20 minutes on two cores and 5 GB while it lasts, 300 MB
afterwards. The folder is printed on standard output, everything else goes to standard error.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tools.golang import GoError, cache_folder, find_go

VERSION = "1.37.2"
MODULE = Path(__file__).resolve().parent.parent / "tests" / "kube"
PROGRAMS = {
    "etcd": "go.etcd.io/etcd/server/v3",
    "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
    "kube-controller-manager": "k8s.io/kubernetes/cmd/kube-controller-manager",
    "kube-proxy": "k8s.io/kubernetes/cmd/kube-proxy",
    "kubectl": "k8s.io/kubernetes/cmd/kubectl",
}
_OPTIONAL = ("kube-proxy",)
"""Not needed in a folder that ``KUBEBUILDER_ASSETS`` names: only one test wants it, and says so."""
_FREE_BYTES = 6_000_000_000
_PROGRESS_SECONDS = 15.0
_COMPONENT_VERSION = "k8s.io/component-base/version"


class AssetsError(Exception):
    """The programs are not there and cannot be built. The text says what to do about it."""


def main() -> None:
    """Print the folder that holds the programs, after building them if need be."""
    try:
        print(assets())
    except (AssetsError, GoError) as error:
        sys.exit(f"kubernetes: {error}")


def present(*more: str) -> Path:
    """Return the folder with the programs, if they are there already; tests ask this, as they build nothing.

    ``more`` are optional ones that have to be there as well.
    """
    given = os.environ.get("KUBEBUILDER_ASSETS")
    if given:
        return _given(Path(given), more)
    folder = cache_folder() / f"kubernetes-{VERSION}"
    missing = _missing(folder)
    if missing:
        raise AssetsError(
            f"no {', '.join(missing)}: run `python -m tools.kubernetes` to build Kubernetes, or set KUBEBUILDER_ASSETS"
        )
    return folder


def assets() -> Path:
    """Return the folder with the programs, after building them if need be."""
    given = os.environ.get("KUBEBUILDER_ASSETS")
    if given:
        return _given(Path(given))
    folder = cache_folder() / f"kubernetes-{VERSION}"
    if _missing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with _locked(folder):
            if _missing(folder):  # another process may just have built them
                _build(folder)
    return folder


def _given(folder: Path, more: Sequence[str] = ()) -> Path:
    missing = [name for name in _missing(folder) if name not in _OPTIONAL or name in more]
    if missing:
        raise AssetsError(f"KUBEBUILDER_ASSETS={folder} lacks {', '.join(missing)}. Add them, or unset the variable.")
    return folder


def _missing(folder: Path) -> list[str]:
    return [name for name in PROGRAMS if not os.access(folder / name, os.X_OK)]


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Let one process at a time build; a second one waits and then finds the programs there."""
    with (folder / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say("waiting for another process that builds them")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _build(folder: Path) -> None:
    go = find_go(MODULE / "go.mod")
    for left in folder.glob("build-*"):  # of a build that was killed: only the holder of the lock makes these
        shutil.rmtree(left)
    if shutil.disk_usage(folder).free < _FREE_BYTES:
        raise AssetsError(
            f"{folder} has less than 6 GB of free space, which the build needs. Make some, or set "
            "KUBEBUILDER_ASSETS to a folder that has the programs."
        )
    _say(f"building etcd and Kubernetes {VERSION} into {folder} (once; 10 to 20 minutes on two cores)")
    with tempfile.TemporaryDirectory(prefix="build-", dir=folder) as scratch:
        _compile(go, Path(scratch))
        for name, package in PROGRAMS.items():
            (Path(scratch) / "bin" / _built_name(package)).replace(folder / name)
    _say("done")


def _compile(go: Path, scratch: Path) -> None:
    """Build all programs by one command, so that what they share is compiled once. Go's caches stay in ``scratch``."""
    environment = {
        **os.environ,
        "CGO_ENABLED": "0",
        "GOCACHE": str(scratch / "cache"),
        "GOMODCACHE": str(scratch / "modules"),
        "GOFLAGS": f"{os.environ.get('GOFLAGS', '')} -modcacherw -buildvcs=false".strip(),
        "GOWORK": "off",
        "TMPDIR": str(scratch),
    }
    _say("fetching the modules")
    listing = [str(go), "list", "-deps", "-f", "{{.ImportPath}}", *PROGRAMS.values()]
    listed = subprocess.run(listing, cwd=MODULE, env=environment, stdout=subprocess.PIPE, text=True, check=False)
    if listed.returncode != 0:
        raise AssetsError("Go cannot fetch the modules of tests/kube/go.mod; its messages are above.")
    call = [str(go), "build", "-v", "-trimpath", "-ldflags", _linker_flags(), "-o", f"{scratch}/bin/"]
    process = subprocess.Popen(
        [*call, *PROGRAMS.values()], cwd=MODULE, env=environment, stderr=subprocess.PIPE, text=True
    )
    said = _follow(process, len(listed.stdout.split()))
    if process.wait() != 0:
        raise AssetsError("\n".join(["'go build' failed in tests/kube; it said at last:", *said[-20:]]))


def _linker_flags() -> str:
    """Return the flags without which clients refuse the server's version, as it says it is v0.0.0."""
    major, minor, _ = VERSION.split(".")
    values = {"gitVersion": f"v{VERSION}", "gitMajor": major, "gitMinor": minor}
    return " ".join(["-s", "-w", *(f"-X {_COMPONENT_VERSION}.{key}={value}" for key, value in values.items())])


def _follow(process: subprocess.Popen[str], packages: int) -> list[str]:
    """Show how many packages are compiled, now and then; return all that Go said."""
    said: list[str] = []
    shown = time.monotonic()
    for line in process.stderr or ():
        said.append(line.rstrip())
        if time.monotonic() - shown > _PROGRESS_SECONDS:
            shown = time.monotonic()
            _say(f"  {len(said)} of {packages} packages")
    return said


def _built_name(package: str) -> str:
    """Return what ``go build`` calls the program: the last part of its path that is not a major version."""
    *_, parent, last = package.split("/")
    return parent if last == "v3" else last


def _say(text: str) -> None:
    print(f"kubernetes: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
