"""Which API server, and as whom: what is read without kubernetes_asyncio is what kubernetes_asyncio would read."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
import yaml

from nodegate.errors import SourceError
from nodegate.settings import KubernetesAccess
from nodegate.source.kubernetes import configuration
from nodegate.source.kubernetes.configuration import Configuration, read_configuration

BY_FILES = {"client-certificate": "keys/me.crt", "client-key": "keys/me.key"}
BY_TOKEN = {"token": "a-token"}


def _kubeconfig(folder: Path, user: dict[str, Any], **of_cluster: Any) -> str:
    """Write a file with two contexts, of which the first is the current one."""
    (folder / "keys").mkdir()
    for name in ("ca.crt", "me.crt", "me.key"):
        (folder / "keys" / name).write_text(name)
    clusters = [{"name": name, "cluster": {"server": f"https://{name}:6443/", **of_cluster}} for name in ("one", "two")]
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "one",
        "contexts": [{"name": name, "context": {"cluster": name, "user": "me"}} for name in ("one", "two")],
        "clusters": clusters,
        "users": [{"name": "me", "user": user}],
    }
    path = folder / "config"
    path.write_text(yaml.safe_dump(content))
    return str(path)


@pytest.mark.parametrize("context", ["", "two"])
@pytest.mark.parametrize("user", [BY_FILES, BY_TOKEN])
@pytest.mark.parametrize("of_cluster", [{"certificate-authority": "keys/ca.crt"}, {"insecure-skip-tls-verify": True}])
async def test_a_plain_file_says_what_it_says_to_kubernetes_asyncio(
    tmp_path: Path, user: dict[str, Any], of_cluster: dict[str, Any], context: str
) -> None:
    file = _kubeconfig(tmp_path, user, **of_cluster)
    plain = configuration._plain(file, context)
    assert plain is not None
    assert plain == await configuration._by_library(file, context)


@pytest.mark.parametrize(
    "user",
    [
        {"client-certificate-data": base64.b64encode(b"certificate").decode(), "client-key": "keys/me.key"},
        {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "login", "interactiveMode": "Never"}},
        {"username": "me", "password": "secret"},
    ],
)
def test_a_file_with_any_other_field_is_left_to_kubernetes_asyncio(tmp_path: Path, user: dict[str, Any]) -> None:
    assert configuration._plain(_kubeconfig(tmp_path, user), "") is None


async def test_a_certificate_inside_the_file_is_used(tmp_path: Path) -> None:
    user = {"client-certificate-data": base64.b64encode(b"mine").decode(), "client-key": "keys/me.key"}
    found = await read_configuration(KubernetesAccess(kubeconfig=_kubeconfig(tmp_path, user)))
    assert found.certificate is not None
    with Path(found.certificate).open() as file:  # noqa: ASYNC230  # it is a test
        assert file.read() == "mine"


async def test_a_file_that_is_not_there_is_named(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = str(tmp_path / "none")
    with pytest.raises(SourceError, match=f"{file} cannot be used: There is no such file. Correct it, or name another"):
        await read_configuration(KubernetesAccess(kubeconfig=file))
    assert "".join(capfd.readouterr()) == ""


async def test_a_context_that_is_not_there_is_named(tmp_path: Path) -> None:
    file = _kubeconfig(tmp_path, BY_TOKEN)
    with pytest.raises(SourceError, match="three"):
        await read_configuration(KubernetesAccess(kubeconfig=file, context="three"))


async def test_a_pod_uses_its_service_account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its token is read anew each time, as the kubelet replaces it."""
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setattr(configuration, "_KUBECONFIG", tmp_path / "none")
    monkeypatch.setattr(configuration, "_SERVICE_ACCOUNT", tmp_path)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "fd00::1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    for token in ("first", "second"):
        (tmp_path / "token").write_text(f"{token}\n")
        found = await read_configuration(KubernetesAccess())
        assert (found.server, found.authority) == ("https://[fd00::1]:443", str(tmp_path / "ca.crt"))
        assert found.token == token


async def test_without_any_configuration_it_is_said_what_to_give(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setattr(configuration, "_KUBECONFIG", tmp_path / "none")
    with pytest.raises(SourceError, match="Give --kubeconfig FILE"):
        await read_configuration(KubernetesAccess())


def test_a_configuration_never_shows_its_token() -> None:
    assert "a-token" not in repr(Configuration("https://one", "a file", token="a-token"))
