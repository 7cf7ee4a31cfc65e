"""Certificates for tests, made on the spot: an authority, and key pairs it signs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID


@dataclass(frozen=True)
class Pair:
    """A certificate and its key as PEM, and the PEM of the authority that signed it."""

    certificate: bytes
    key: bytes
    authority: bytes

    @property
    def serial(self) -> int:
        """The serial number by which a peer's certificate can be told."""
        return x509.load_pem_x509_certificate(self.certificate).serial_number

    @property
    def data(self) -> dict[str, bytes]:
        """The data of a ``kubernetes.io/tls`` Secret."""
        return {"tls.crt": self.certificate, "tls.key": self.key, "ca.crt": self.authority}

    def write(self, folder: Path, name: str) -> tuple[Path, Path]:
        """Write the certificate and then, as a careless renewal would, the key."""
        certificate, key = folder / f"{name}.crt", folder / f"{name}.key"
        certificate.write_bytes(self.certificate)
        key.write_bytes(self.key)
        return certificate, key


class Authority:
    """A certificate authority of its own."""

    def __init__(self, name: str = "test authority") -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = _builder(self._name, self._name, self._key.public_key(), timedelta(days=30))
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        self._certificate = builder.sign(self._key, hashes.SHA256())

    @property
    def pem(self) -> bytes:
        """The authority's own certificate."""
        return self._certificate.public_bytes(Encoding.PEM)

    def sign(self, *hosts: str, lasts: timedelta = timedelta(days=30)) -> Pair:
        """Return a new key pair for these DNS names."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, hosts[0])])
        builder = _builder(subject, self._name, key.public_key(), lasts)
        names = x509.SubjectAlternativeName([x509.DNSName(host) for host in hosts])
        certificate = builder.add_extension(names, critical=False).sign(self._key, hashes.SHA256())
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return Pair(certificate.public_bytes(Encoding.PEM), pem, self.pem)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, lasts: timedelta
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + lasts)
    )


@cache
def authority() -> Authority:
    """Return the one authority of this run."""
    return Authority()


@cache
def pair(*hosts: str) -> Pair:
    """Return the key pair of these names, the same within this run."""
    return authority().sign(*hosts)
