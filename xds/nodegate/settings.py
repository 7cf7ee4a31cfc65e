"""What the operator asked for, checked. Every value has the name of its flag; each flag is also ``NODEGATE_<FLAG>``."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

import msgspec

from nodegate.errors import UsageError

# Below the listeners' ports (10000-20000), so that an Envoy on the same machine cannot be in the way; its own admin
# address is 9901.
XDS_ADDRESS = "127.0.0.1:9900"
HTTP_ADDRESS = "127.0.0.1:9902"
DEBUG_ADDRESS = "127.0.0.1:9903"
AGENT_HTTP_ADDRESS = "127.0.0.1:9904"
AGENT_DEBUG_ADDRESS = "127.0.0.1:9905"

PUBLISH_SERVICE = "nodegate-system/nodegate"
LEASE_NAMESPACE = "nodegate-system"

LOG_FORMATS = ("auto", "console", "json")
LOG_LEVELS = ("debug", "info", "warning", "error")


@dataclass(frozen=True, slots=True)
class TcpAddress:
    """A host and a port; ``host`` without brackets, port 0 lets the kernel choose."""

    host: str
    port: int

    def __str__(self) -> str:
        """Return ``host:port``, an IPv6 host in brackets."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_ip(self) -> bool:
        """Whether the host is an IP address and not a name."""
        try:
            ip_address(self.host)
        except ValueError:
            return False
        return True


@dataclass(frozen=True, slots=True)
class UnixAddress:
    """The path of a Unix socket."""

    path: str

    def __str__(self) -> str:
        """Return ``unix:PATH``."""
        return f"unix:{self.path}"


Address = TcpAddress | UnixAddress


def parse_address(text: str, flag: str, default_host: str = "") -> Address:
    """Read ``HOST:PORT``, ``[IPV6]:PORT`` or ``unix:PATH``; ``:PORT`` means ``default_host``, or every address."""
    if text.startswith("unix:"):
        path = text.removeprefix("unix:")
        if not path:
            raise UsageError(f"{flag} {text!r} has no path. Write unix:/run/nodegate/xds.sock.")
        return UnixAddress(path)
    return parse_tcp(text, flag, default_host)


def parse_tcp(text: str, flag: str, default_host: str = "") -> TcpAddress:
    """Read ``HOST:PORT`` or ``[IPV6]:PORT``; a :class:`UsageError` names the flag."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > 65_535:
        raise UsageError(f"{flag} {text!r} is not HOST:PORT. Write for example 127.0.0.1:9900.")
    if ":" in host and not (host.startswith("[") and host.endswith("]")):
        raise UsageError(f"{flag} {text!r}: write an IPv6 address in brackets, [::1]:{port}.")
    return TcpAddress(host.strip("[]") or default_host or "0.0.0.0", int(port))  # noqa: S104  # ":PORT" asks for it


class TranslationSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What decides what is made of objects; the fields are those of ``nodegate.translate.settings.Settings``.

    ``ingress_class`` empty means every class of ours. ``default_certificate`` is a Secret's namespace and name,
    ``default_backend`` a Service's with its port; None: there is none. ``publish_service`` is a Service's namespace and
    name.
    """

    ingress_class: str = ""
    listener_mode: str = "dedicated"
    expose: str = "redirect"
    http_port: int = 80
    https_port: int = 443
    address_family: str = "ipv4"
    default_certificate: tuple[str, str] | None = None
    default_backend: tuple[str, str, str] | None = None
    external_names: bool = False
    trusted_hops: int = 0
    proxy_protocol: bool = False
    escaped_slashes: str = "reject"
    access_log: bool = False
    publish_service: tuple[str, str] = ("nodegate-system", "nodegate")


class XdsSecurity(msgspec.Struct, frozen=True, kw_only=True):
    """How the xDS endpoint is secured.

    Without ``certificate`` and ``key`` it speaks plaintext; with ``client_ca`` proxies have to prove who they are.
    ``insecure`` lets private keys go to any proxy; ``reflection`` lets tools ask which services there are.
    ``streams_per_host`` is how many streams one peer address may hold, 0 for any number.
    """

    certificate: Path | None = None
    key: Path | None = None
    client_ca: Path | None = None
    insecure: bool = False
    reflection: bool = False
    streams_per_host: int = 0


class KubernetesAccess(msgspec.Struct, frozen=True, kw_only=True):
    """Which cluster is the source, and which part of it.

    ``kubeconfig`` and ``context`` empty: as kubectl chooses, and in a Pod its own cluster. Without ``namespaces``
    all of them are watched.
    """

    kubeconfig: str = ""
    context: str = ""
    namespaces: tuple[str, ...] = ()


class LeaseSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The Lease by which replicas agree on who writes to the cluster what only one of them may.

    ``namespace`` empty is the Pod's own, or outside of Pods ``nodegate-system``; ``identity`` empty is made up at every
    start. ``seconds`` is how long the Lease lasts after each renewal: so long nobody may lead when a replica dies.
    """

    namespace: str = ""
    name: str = "nodegate"
    identity: str = ""
    seconds: int = 15


class ServeSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of ``nodegate serve``. ``source`` is a folder of manifests or a cluster.

    ``state_dir`` None keeps nothing across restarts; private keys are kept there only with ``state_secrets``.
    ``redirect_grace`` is how long, in seconds, a listener outlives its redirect where no agent says that it is gone.
    ``xds_ttl`` is how long, in seconds, a proxy that has lost the control plane keeps what it has; 0: for ever.
    """

    source: Path | KubernetesAccess
    xds_address: Address = TcpAddress("127.0.0.1", 9900)
    http_address: TcpAddress = TcpAddress("127.0.0.1", 9902)
    debug_address: TcpAddress = TcpAddress("127.0.0.1", 9903)
    state_dir: Path | None = None
    state_secrets: bool = False
    translation: TranslationSettings = TranslationSettings()
    xds_security: XdsSecurity = XdsSecurity()
    redirect_grace: float = 10.0
    xds_ttl: float = 0.0
    lease: LeaseSettings = LeaseSettings()


class AgentTls(msgspec.Struct, frozen=True, kw_only=True):
    """How the agent checks the control plane, and proves which node it is; as for Envoy (``nodegate bootstrap``)."""

    ca: Path
    server_name: str = ""
    certificate: Path | None = None
    key: Path | None = None


class AgentSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of ``nodegate agent``.

    ``xds_addresses`` are replicas of one control plane. ``iptables_backend`` None is the node's own, ``bpf_object``
    None the program that came with nodegate; it and its maps are pinned in ``bpf_folder``. ``state_dir`` None keeps
    nothing across restarts, but what the kernel keeps.
    """

    node_name: str
    node_id: str
    xds_addresses: tuple[Address, ...] = (TcpAddress("127.0.0.1", 9900),)
    tls: AgentTls | None = None
    mode: str = "auto"
    iptables_backend: str | None = None
    bpf_object: Path | None = None
    bpf_folder: Path = Path("/run/nodegate/bpf")
    state_dir: Path | None = None
    http_address: TcpAddress = TcpAddress("127.0.0.1", 9904)
    debug_address: TcpAddress = TcpAddress("127.0.0.1", 9905)


def parse_secret_name(text: str) -> tuple[str, str] | None:
    """Read ``NAMESPACE/SECRET``; None when empty."""
    if not text:
        return None
    namespace, slash, name = text.partition("/")
    if not (namespace and slash and name) or "/" in name:
        raise UsageError(f"--default-certificate {text!r} is not NAMESPACE/SECRET. Write for example default/fallback.")
    return namespace, name


def parse_service_name(text: str) -> tuple[str, str]:
    """Read ``NAMESPACE/SERVICE``."""
    namespace, slash, name = text.partition("/")
    if not (namespace and slash and name) or "/" in name:
        raise UsageError(f"--publish-service {text!r} is not NAMESPACE/SERVICE. Write for example {PUBLISH_SERVICE}.")
    return namespace, name


def parse_backend(text: str) -> tuple[str, str, str] | None:
    """Read ``NAMESPACE/SERVICE:PORT``, the port a number or a name; None when empty."""
    if not text:
        return None
    namespace, slash, service_port = text.partition("/")
    service, colon, port = service_port.partition(":")
    if not all((namespace, slash, service, colon, port)) or "/" in service_port or ":" in port:
        raise UsageError(f"--default-backend {text!r} is not NAMESPACE/SERVICE:PORT. Write for example default/web:80.")
    return namespace, service, port


def parse_xds_security(certificate: Path | None, key: Path | None, client_ca: Path | None) -> XdsSecurity:
    """Check that the files for TLS are given together; what is in them is checked when they are read."""
    if (certificate is None) != (key is None):
        raise UsageError("--xds-certificate and --xds-key belong together. Give both, or neither for plaintext.")
    if client_ca is not None and certificate is None:
        raise UsageError("--xds-client-ca needs --xds-certificate and --xds-key: clients are checked over TLS only.")
    return XdsSecurity(certificate=certificate, key=key, client_ca=client_ca)


def parse_source(
    text: str, state_dir: Path | None = None, access: KubernetesAccess | None = None
) -> Path | KubernetesAccess:
    """Return the cluster or the folder that ``--source`` names; a :class:`UsageError` when there is no such folder.

    With a state folder it may be missing for now: its last good content may be known from an earlier run.
    """
    access = access or KubernetesAccess()
    if text == "kubernetes":
        return access
    if access != KubernetesAccess():
        raise UsageError("--kubeconfig, --context and --watch-namespace need --source kubernetes.")
    return Path(text) if state_dir is not None else parse_folder(text, "--source")


def parse_folder(text: str, flag: str) -> Path:
    """Return a folder of manifests that exists; a :class:`UsageError` when it does not."""
    folder = Path(text)
    if not folder.is_dir():
        what = "is not a folder" if folder.exists() else "does not exist"
        raise UsageError(f"{flag} {text!r} {what}. Give a folder of manifests (*.yaml, *.yml, *.json).")
    return folder
