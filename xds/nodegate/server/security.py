"""Who may connect, and who may be sent private keys (DESIGN 3.8)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import unquote, urlsplit

import grpc
import structlog
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from nodegate.errors import TransportError
from nodegate.snapshot.facts import NodeFacts

log = structlog.get_logger(__name__)

_SUBJECT_ALTERNATIVE_NAME = "x509_subject_alternative_name"


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Where the server's certificate is. With ``client_ca`` a client has to present a certificate signed by it."""

    certificate: Path
    key: Path
    client_ca: Path | None = None

    @property
    def all(self) -> tuple[Path, ...]:
        """Every file there is."""
        return (self.certificate, self.key, *((self.client_ca,) if self.client_ca else ()))


class ReloadingCredentials:
    """Server credentials that follow their files: a renewed certificate is used from the next handshake on.

    A renewal that is broken or half written is logged once and the last good one goes on being used.
    """

    def __init__(self, files: TlsFiles) -> None:
        """Read the files; raises TransportError when they cannot be used."""
        self._files = files
        self._seen = self._signature()
        self._first = self._load()

    def credentials(self) -> grpc.ServerCredentials:
        """Return the credentials to open a port with."""
        return grpc.dynamic_ssl_server_credentials(
            self._first, self._renewed, require_client_authentication=self._files.client_ca is not None
        )

    def _renewed(self) -> grpc.ServerCertificateConfiguration | None:
        """Return a new configuration, or None to keep the one in use; gRPC asks at every handshake."""
        signature = self._signature()
        if signature == self._seen:
            return None
        self._seen = signature
        try:
            renewed = self._load()
        except TransportError as error:
            log.warning("The renewed xDS certificate cannot be used; the last good one stays.", reason=str(error))
            return None
        log.info("The xDS certificate was renewed.", certificate=str(self._files.certificate))
        return renewed

    def _signature(self) -> tuple[object, ...]:
        return tuple(_stat(path) for path in self._files.all)

    def _load(self) -> grpc.ServerCertificateConfiguration:
        certificate, key = _read(self._files.certificate), _read(self._files.key)
        _check_pair(certificate, key, self._files)
        client_ca = _read(self._files.client_ca) if self._files.client_ca else None
        return grpc.ssl_server_certificate_configuration([(key, certificate)], root_certificates=client_ca)


def _stat(path: Path) -> object:
    try:
        stat = path.stat()
    except OSError:
        return None
    return (stat.st_mtime_ns, stat.st_size, stat.st_ino)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        message = f"The TLS file {path} cannot be read: {error.strerror}. Check the path and its permissions."
        raise TransportError(message) from error


def _check_pair(certificate: bytes, key: bytes, files: TlsFiles) -> None:
    """Raise TransportError unless the key belongs to the certificate. The message never shows key material."""
    try:
        public = x509.load_pem_x509_certificate(certificate).public_key()
    except ValueError:
        message = f"{files.certificate} is not a PEM certificate. Give the server's certificate (with its chain) there."
        raise TransportError(message) from None
    try:
        own = load_pem_private_key(key, password=None).public_key()
    except (ValueError, TypeError):
        message = f"{files.key} is not an unencrypted PEM private key. Give the key of {files.certificate} there."
        raise TransportError(message) from None
    if own != public:
        message = f"The key {files.key} does not belong to the certificate {files.certificate}. Renew both together."
        raise TransportError(message)


def is_local(peer: str) -> bool:
    """Return whether gRPC's word for a peer is a Unix socket or a loopback address."""
    if peer.startswith("unix:"):
        return True
    _, _, address = unquote(peer).partition(":")
    host = address.rpartition(":")[0].strip("[]")
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def host_of(peer: str) -> str:
    """Return the peer without its port, so that streams of one host can be counted."""
    return peer if peer.startswith("unix:") else unquote(peer).rpartition(":")[0]


def names_node(auth_context: Mapping[str, Sequence[bytes]], facts: NodeFacts, node_id: str) -> bool:
    """Return whether a client certificate's subject alternative name is that of the node the client claims to be.

    A DNS name counts as it is, a URI (SPIFFE) by its last path segment; the node is ``facts.node``, or ``node_id``
    where the client says no node.
    """
    claimed = facts.node or node_id
    names = {name.decode(errors="replace") for name in auth_context.get(_SUBJECT_ALTERNATIVE_NAME, ())}
    return bool(claimed) and any(claimed == name or claimed == _last_segment(name) for name in names)


def _last_segment(uri: str) -> str | None:
    parts = urlsplit(uri)
    return parts.path.rpartition("/")[2] if parts.scheme and parts.path else None


def may_have_secrets(peer: str, auth_context: Mapping[str, Sequence[bytes]], facts: NodeFacts, node_id: str) -> bool:
    """Return whether private keys may go to this client: it is local, or proved by mTLS to be the node it claims."""
    return is_local(peer) or names_node(auth_context, facts, node_id)
