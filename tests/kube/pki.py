"""The keys of a test cluster: its authority, its server, and whoever is to be let in by certificate."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID


@dataclass(frozen=True)
class KeyFiles:
    """Where a certificate and its key are."""

    certificate: Path
    key: Path


class Pki:
    """An authority of its own in a folder. Every certificate names a user and its group, or an address."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._key = _key()
        self._name = _name("kubernetes", "")
        builder = _builder(self._name, self._name, self._key.public_key())
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        self.authority = folder / "ca.crt"
        self.authority.write_bytes(builder.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM))

    def server(self, address: str) -> KeyFiles:
        """Return the key pair of a server at an address."""
        names: list[x509.GeneralName] = [x509.IPAddress(ip_address(address)), x509.DNSName("kubernetes.default.svc")]
        usage = ExtendedKeyUsageOID.SERVER_AUTH
        return self._issue("apiserver", _name("kube-apiserver", ""), usage, x509.SubjectAlternativeName(names))

    def client(self, user: str, group: str = "") -> KeyFiles:
        """Return the key pair of a user."""
        return self._issue(user, _name(user, group), ExtendedKeyUsageOID.CLIENT_AUTH, None)

    def service_accounts(self) -> KeyFiles:
        """Return the key that signs the tokens of ServiceAccounts; its public half stands for a certificate."""
        key = _key()
        public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        return self._write("service-accounts", public, key)

    def _issue(
        self, file: str, name: x509.Name, usage: x509.ObjectIdentifier, names: x509.SubjectAlternativeName | None
    ) -> KeyFiles:
        key = _key()
        builder = _builder(name, self._name, key.public_key())
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        if names is not None:
            builder = builder.add_extension(names, critical=False)
        return self._write(file, builder.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM), key)

    def _write(self, file: str, public: bytes, key: rsa.RSAPrivateKey) -> KeyFiles:
        safe = file.replace(":", "-")
        files = KeyFiles(self._folder / f"{safe}.crt", self._folder / f"{safe}.key")
        files.certificate.write_bytes(public)
        files.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()))
        return files


def _key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def _name(common: str, organization: str) -> x509.Name:
    parts = [x509.NameAttribute(NameOID.COMMON_NAME, common)]
    if organization:
        parts.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization))
    return x509.Name(parts)


def _builder(subject: x509.Name, issuer: x509.Name, key: rsa.RSAPublicKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=2))
    )
