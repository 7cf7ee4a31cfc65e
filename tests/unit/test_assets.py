"""The programs of Kubernetes are found where they are said to be, and what is missing is named with what helps."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.kubernetes import PROGRAMS, VERSION, AssetsError, assets, present


def _programs(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).touch(mode=0o755)
    return folder


def test_a_folder_that_is_named_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``KUBEBUILDER_ASSETS``, as others who test against a real API server have it."""
    folder = _programs(tmp_path / "assets", *PROGRAMS)
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(folder))
    assert present() == assets() == folder


def test_a_folder_that_is_named_and_lacks_something_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not mixed with what was built: the versions may differ."""
    folder = _programs(tmp_path / "assets", "etcd", "kube-apiserver", "kubectl")
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(folder))
    for ask in (present, assets):
        with pytest.raises(AssetsError, match=r"lacks kube-controller-manager\."):
            ask()


def test_kube_proxy_has_to_be_there_for_who_asks_for_it_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Others' folders do not have it, and all tests but one can do without."""
    folder = _programs(tmp_path / "assets", *(name for name in PROGRAMS if name != "kube-proxy"))
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(folder))
    assert present() == assets() == folder
    with pytest.raises(AssetsError, match=r"lacks kube-proxy\."):
        present("kube-proxy")


def test_without_one_they_are_those_of_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Built once for a version; a test says what to run and builds nothing."""
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(AssetsError, match=r"run `python -m tools\.kubernetes` to build"):
        present()
    folder = _programs(tmp_path / "nodegate" / f"kubernetes-{VERSION}", *PROGRAMS)
    assert present() == assets() == folder
