"""A real Kubernetes API on a loopback address of its own: etcd, kube-apiserver, kube-controller-manager.

TLS and RBAC are on, as in any cluster; there is no node, so nothing runs Pods: a test writes their status itself.
"""

from __future__ import annotations

import json
import subprocess
import urllib.request
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from tests.e2e.rig.addresses import own_loopback
from tests.e2e.rig.processes import Child
from tests.e2e.rig.waiting import eventually
from tests.kube.pki import KeyFiles, Pki

CONTROLLERS = "endpointslice-controller,garbage-collector-controller,namespace-controller,serviceaccount-controller"
SERVICE_RANGE = "10.103.0.0/16,fd00:10:103::/112"
PORT = 6443
STOP_SECONDS = 20.0


class Cluster:
    """One Kubernetes API. :meth:`start` returns when it is ready; its parts can be killed and started again.

    ``prefix`` are words before every command, as of ``nsenter``.
    """

    def __init__(
        self, programs: Path, folder: Path, *, service_range: str = SERVICE_RANGE, prefix: Sequence[str] = ()
    ) -> None:
        self.programs = programs
        self.folder = folder
        self._service_range, self._prefix = service_range, prefix
        self.address = own_loopback()
        self.server = self.server_at(PORT)
        self.pki = Pki(folder / "pki")
        self._server_keys = self.pki.server(self.address)
        self._account_keys = self.pki.service_accounts()
        self.admin = self.pki.client("admin", "system:masters")
        self.kubeconfig = self.write_kubeconfig("admin", by_files(self.admin))
        self._running: dict[str, Child] = {}

    def server_at(self, port: int) -> str:
        """Return where an API server is."""
        return f"https://{self.address}:{port}"

    # --- Its parts -------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start everything and wait until the API is ready."""
        self.start_etcd()
        self.start_api_server()
        self._start("kube-controller-manager", self._controller_manager())

    def stop(self) -> None:
        """End everything, the API server before its storage."""
        for child in reversed(self._running.values()):
            child.kill()
        self._running.clear()

    def start_etcd(self) -> None:
        """Start the storage."""
        client, peer = f"http://{self.address}:2379", f"http://{self.address}:2380"
        flags = {
            "data-dir": self.folder / "etcd",
            "listen-client-urls": client,
            "advertise-client-urls": client,
            "listen-peer-urls": peer,
            "initial-advertise-peer-urls": peer,
            "initial-cluster": f"default={peer}",
            "unsafe-no-fsync": "true",
            "log-level": "error",
        }
        self._start("etcd", flags)

    def start_api_server(
        self, port: int = PORT, more: Mapping[str, str] | None = None, *, pki: Pki | None = None
    ) -> None:
        """Start an API server, and wait until it is ready; there may be several, each on a port of its own.

        ``more`` are flags besides those that all of them have; ``pki`` are other keys than the cluster's, for itself
        and for those that it lets in by certificate.
        """
        flags = {**self._api_server(port), **(more or {})}
        config = self.kubeconfig
        if pki is not None:
            keys = pki.server(self.address)
            flags |= {"tls-cert-file": keys.certificate, "tls-private-key-file": keys.key}
            flags |= {"client-ca-file": pki.authority}
            config = self.write_kubeconfig("other-admin", by_files(pki.client("admin", "system:masters")), pki=pki)
        self._start("kube-apiserver", flags, f"kube-apiserver-{port}")
        eventually(lambda: self._ready(port, config), within=60, every=0.1, what="/readyz of the API server")

    def kill_api_server(self, port: int) -> None:
        """Take an API server away, without a goodbye."""
        self._running.pop(f"kube-apiserver-{port}").kill()

    def kill_etcd(self) -> None:
        """Take the storage away for good."""
        self._running.pop("etcd").kill()

    def compact(self) -> None:
        """Let the storage forget all versions but the newest, as it does by itself every five minutes."""
        etcd = f"http://{self.address}:2379"
        newest = json.loads(_post(f"{etcd}/v3/kv/range", {"key": "AA=="}))["header"]["revision"]
        _post(f"{etcd}/v3/kv/compaction", {"revision": newest, "physical": True})

    def _api_server(self, port: int) -> Mapping[str, object]:
        return {
            "etcd-servers": f"http://{self.address}:2379",
            "bind-address": self.address,
            "advertise-address": self.address,
            "endpoint-reconciler-type": "none",  # it would write a loopback address, which is refused
            "secure-port": port,
            "tls-cert-file": self._server_keys.certificate,
            "tls-private-key-file": self._server_keys.key,
            "client-ca-file": self.pki.authority,
            "authorization-mode": "RBAC",
            "service-account-issuer": "https://kubernetes.default.svc",
            "service-account-key-file": self._account_keys.certificate,
            "service-account-signing-key-file": self._account_keys.key,
            "service-cluster-ip-range": self._service_range,
            "shutdown-delay-duration": "0s",
        }

    def _controller_manager(self) -> Mapping[str, object]:
        return {
            "kubeconfig": self.kubeconfig,
            "controllers": CONTROLLERS,
            "leader-elect": "false",
            "service-account-private-key-file": self._account_keys.key,
            "root-ca-file": self.pki.authority,
            "secure-port": 0,
        }

    def _start(self, program: str, flags: Mapping[str, object], name: str = "") -> None:
        words = [f"--{flag}={value}" for flag, value in flags.items()]
        name = name or program
        self._running[name] = Child([*self._prefix, self.programs / program, *words], self.folder / f"{name}.log")

    def _ready(self, port: int, config: Path) -> bool:
        for child in self._running.values():
            child.require_alive()
        words = ("get", "--raw=/readyz", f"--server={self.server_at(port)}", f"--kubeconfig={config}")
        return self.run_kubectl(*words).returncode == 0

    # --- Who may come in -------------------------------------------------------------------------------------------

    def kubeconfig_of(self, user: str, group: str = "", port: int = PORT) -> Path:
        """Return a configuration for a user who proves himself by certificate, at one of the API servers."""
        keys = by_files(self.pki.client(user, group))
        return self.write_kubeconfig(f"{user}-{port}", keys, self.server_at(port))

    def write_kubeconfig(self, name: str, user: Mapping[str, str], server: str = "", pki: Pki | None = None) -> Path:
        """Write a configuration with one context and return where it is."""
        authority = (pki or self.pki).authority
        cluster = {"server": server or self.server, "certificate-authority": str(authority)}
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": name}}],
            "clusters": [{"name": "test", "cluster": cluster}],
            "users": [{"name": name, "user": dict(user)}],
        }
        path = self.folder / f"{name.replace(':', '-')}.kubeconfig"
        path.write_text(yaml.safe_dump(content))
        return path

    # --- kubectl ---------------------------------------------------------------------------------------------------

    def kubectl(self, *words: str, manifests: Iterable[Mapping[str, Any]] = ()) -> str:
        """Run kubectl as the cluster's administrator and return what it prints; a failure raises with its words."""
        text = "---\n".join(json.dumps(manifest) + "\n" for manifest in manifests)
        done = self.run_kubectl(*words, text=text)
        if done.returncode != 0:
            raise RuntimeError(f"kubectl {' '.join(words)}: {done.stderr.strip()}")
        return done.stdout

    def apply(self, *manifests: Mapping[str, Any], status: bool = False) -> None:
        """Apply manifests on the server's side; with ``status``, their status instead of the rest."""
        more = ["--subresource=status"] if status else []
        self.kubectl("apply", "--server-side", "--force-conflicts", *more, "-f", "-", manifests=manifests)

    def get(self, *words: str) -> Any:
        """Return what ``kubectl get`` finds, decoded."""
        return json.loads(self.kubectl("get", "-o", "json", *words))

    def run_kubectl(self, *words: str, text: str = "") -> subprocess.CompletedProcess[str]:
        """Run kubectl and return how it ended; words may name another configuration."""
        command: list[str | Path] = [
            *self._prefix,
            self.programs / "kubectl",
            f"--kubeconfig={self.kubeconfig}",
            *words,
        ]
        return subprocess.run(command, input=text, capture_output=True, text=True, timeout=STOP_SECONDS, check=False)

    def logs(self) -> list[tuple[str, str]]:
        """Return the end of each part's log, with its name."""
        return [(name, child.tail()) for name, child in self._running.items()]


def by_files(files: KeyFiles) -> dict[str, str]:
    """Return a user of a configuration who proves himself by these keys."""
    return {"client-certificate": str(files.certificate), "client-key": str(files.key)}


def _post(url: str, body: Mapping[str, object]) -> bytes:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})  # noqa: S310
    with urllib.request.urlopen(request, timeout=STOP_SECONDS) as answer:  # noqa: S310  # our own etcd
        content: bytes = answer.read()
        return content
