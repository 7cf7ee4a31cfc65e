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


class ServeSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of ``nodegate serve``.

    ``state_dir`` None keeps nothing across restarts; ``ingress_class`` empty means every class of ours.
    """

    source: Path
    xds_address: Address = TcpAddress("127.0.0.1", 9900)
    http_address: TcpAddress = TcpAddress("127.0.0.1", 9902)
    debug_address: TcpAddress = TcpAddress("127.0.0.1", 9903)
    state_dir: Path | None = None
    ingress_class: str = ""


def parse_source(text: str, state_dir: Path | None = None) -> Path:
    """Return the folder that ``--source`` names; a :class:`UsageError` when there is none.

    With a state folder it may be missing for now: its last good content may be known from an earlier run.
    """
    if text == "kubernetes":
        raise UsageError("--source kubernetes is not available in this version. Give a folder of manifests.")
    return Path(text) if state_dir is not None else parse_folder(text, "--source")


def parse_folder(text: str, flag: str) -> Path:
    """Return a folder of manifests that exists; a :class:`UsageError` when it does not."""
    folder = Path(text)
    if not folder.is_dir():
        what = "is not a folder" if folder.exists() else "does not exist"
        raise UsageError(f"{flag} {text!r} {what}. Give a folder of manifests (*.yaml, *.yml, *.json).")
    return folder
