"""Which API server, and as whom: a Pod's ServiceAccount, or a kubeconfig file.

A kubeconfig file may ask for credential plugins and much else, and kubernetes_asyncio knows all of it. But its import
takes 0.5 s of the time until the first snapshot, and 36 MB for good. So what a Pod has, and files in which everything
is said by plain fields, are read here, and only other files by kubernetes_asyncio (decision 0019).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import yaml

from nodegate.errors import SourceError
from nodegate.settings import KubernetesAccess

_SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_KUBECONFIG = Path("~/.kube/config")
_HOST, _PORT = "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"


@dataclass(frozen=True, slots=True)
class Configuration:
    """Where the API server is, and the files and the token that prove one side to the other. Never shows the token.

    ``chosen`` says for people where this was read.
    """

    server: str
    chosen: str
    authority: str | None = None
    certificate: str | None = None
    key: str | None = None
    token: str = ""
    verify: bool = True
    server_name: str | None = None
    proxy: str | None = None

    def __repr__(self) -> str:
        return f"Configuration({self.server}, {self.chosen})"


async def read_configuration(access: KubernetesAccess) -> Configuration:
    """Return what the operator chose.

    Raises:
        SourceError: There is no configuration, or it cannot be read.
    """
    file = access.kubeconfig or os.environ.get("KUBECONFIG", "") or _default_kubeconfig()
    if not file and not access.context:
        return _of_the_pod()
    if file and not _exists(file):
        raise _unusable(file, FileNotFoundError("There is no such file"))
    try:
        return _plain(file, access.context) or await _by_library(file, access.context)
    except (OSError, ValueError) as error:
        raise _unusable(file, error) from error


def _default_kubeconfig() -> str:
    path = _KUBECONFIG.expanduser()
    return str(path) if path.is_file() else ""


def _exists(file: str) -> bool:
    """Whether one of these files exists: as for kubectl, it may be a list of them."""
    return any(Path(one).expanduser().is_file() for one in file.split(os.pathsep))


def _unusable(file: str, error: Exception) -> SourceError:
    problem = f"The Kubernetes configuration {file} cannot be used: {error}."
    return SourceError(f"{problem} Correct it, or name another with --kubeconfig.")


# --- In a Pod --------------------------------------------------------------------------------------------------------


def _of_the_pod() -> Configuration:
    """Return what the kubelet gives to every Pod ("Accessing the Kubernetes API from a Pod")."""
    host, port = os.environ.get(_HOST, ""), os.environ.get(_PORT, "")
    try:
        if not host or not port:
            raise FileNotFoundError(f"{_HOST} and {_PORT} are not set.")
        token = (_SERVICE_ACCOUNT / "token").read_text().strip()
    except OSError as error:
        raise SourceError(
            f"There is no Kubernetes configuration: {error} "
            "Give --kubeconfig FILE, set KUBECONFIG, or run nodegate in a Pod with a ServiceAccount."
        ) from error
    address = f"[{host}]" if ":" in host else host
    authority = str(_SERVICE_ACCOUNT / "ca.crt")
    return Configuration(f"https://{address}:{port}", f"in-cluster, {_SERVICE_ACCOUNT}", authority, token=token)


# --- A kubeconfig file with nothing but plain fields -----------------------------------------------------------------


class _Cluster(msgspec.Struct, frozen=True, rename="kebab", forbid_unknown_fields=True):
    server: str
    certificate_authority: str | None = None
    insecure_skip_tls_verify: bool = False
    tls_server_name: str | None = None


class _User(msgspec.Struct, frozen=True, rename="kebab", forbid_unknown_fields=True):
    client_certificate: str | None = None
    client_key: str | None = None
    token: str = ""


class _Context(msgspec.Struct, frozen=True):
    cluster: str
    user: str


class _NamedCluster(msgspec.Struct, frozen=True):
    name: str
    cluster: _Cluster


class _NamedUser(msgspec.Struct, frozen=True):
    name: str
    user: _User


class _NamedContext(msgspec.Struct, frozen=True):
    name: str
    context: _Context


class _File(msgspec.Struct, frozen=True, rename="kebab"):
    clusters: tuple[_NamedCluster, ...]
    users: tuple[_NamedUser, ...]
    contexts: tuple[_NamedContext, ...]
    current_context: str = ""


def _plain(file: str, context: str) -> Configuration | None:
    """Read a file; None when it holds, or lacks, anything that is not for this reader."""
    path = Path(file)
    if not path.is_file():  # it may also be a list of files
        return None
    try:
        content = msgspec.convert(yaml.load(path.read_text(), yaml.CSafeLoader), _File)
    except (msgspec.ValidationError, yaml.YAMLError):
        return None
    name = context or content.current_context
    chosen = next((one.context for one in content.contexts if one.name == name), None)
    if chosen is None:
        return None
    cluster = next((one.cluster for one in content.clusters if one.name == chosen.cluster), None)
    user = next((one.user for one in content.users if one.name == chosen.user), None)
    if cluster is None or user is None:
        return None
    return Configuration(
        cluster.server.rstrip("/"),
        f"context {name} of {file}",
        _beside(path, cluster.certificate_authority),
        _beside(path, user.client_certificate),
        _beside(path, user.client_key),
        user.token,
        verify=not cluster.insecure_skip_tls_verify,
        server_name=cluster.tls_server_name,
    )


def _beside(file: Path, named: str | None) -> str | None:
    """Return the path that a kubeconfig file names, which is relative to its own folder."""
    return str(file.parent / named) if named else None


# --- Any other kubeconfig file ---------------------------------------------------------------------------------------


async def _by_library(file: str, context: str) -> Configuration:
    from kubernetes_asyncio import client, config  # noqa: PLC0415  # see above

    read = client.Configuration()
    try:
        loader = await config.load_kube_config(file or None, context or None, read, persist_config=False)
    except config.ConfigException as error:
        raise _unusable(file, error) from error
    return _translated(read, f"context {loader.current_context['name']} of {file}")


def _translated(read: Any, chosen: str) -> Configuration:
    return Configuration(
        server=str(read.host).rstrip("/"),
        chosen=chosen,
        authority=read.ssl_ca_cert,
        certificate=read.cert_file,
        key=read.key_file,
        token=str(read.api_key.get("BearerToken", "")).removeprefix("Bearer ").strip(),
        verify=bool(read.verify_ssl),
        server_name=getattr(read, "tls_server_name", None),
        proxy=getattr(read, "proxy", None),
    )
