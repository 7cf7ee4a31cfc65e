"""A certificate of our own for TLS clients whose host nobody declared one for.

It proves nothing; it lets such a client be answered with a 404 instead of a broken connection. Kept in the state
folder, it is the same after a restart, so that a restart changes nothing that is served.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from nodegate.durable import replace_file
from nodegate.errors import StateError
from nodegate.translate.settings import KeyPair

_NAME = "nodegate.invalid"
_LIFETIME = timedelta(days=3650)
_CERTIFICATE_BEGINS = b"-----BEGIN CERTIFICATE-----"


def own_certificate(state_dir: Path | None, now: datetime | None = None) -> KeyPair:
    """Return the certificate kept in the state folder, or a new one that is then kept there."""
    when = now or datetime.now(UTC)
    path = state_dir / "own-certificate.pem" if state_dir else None
    kept = _kept(path, when) if path else None
    if kept is not None:
        return kept
    made = _made(when)
    if path is not None:
        _keep(path, made)
    return made


def _made(now: datetime) -> KeyPair:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, _NAME)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))  # clients' clocks differ
        .not_valid_after(now + _LIFETIME)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(_NAME)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    plain = serialization.NoEncryption()
    return KeyPair(certificate.public_bytes(pem), key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))


def _kept(path: Path, now: datetime) -> KeyPair | None:
    """Return what is kept, unless it cannot be used (any more): then it is made anew."""
    try:
        key, begins, rest = path.read_bytes().partition(_CERTIFICATE_BEGINS)
        certificate = x509.load_pem_x509_certificate(begins + rest)
        own = serialization.load_pem_private_key(key, password=None).public_key()
    except (OSError, ValueError):
        return None
    usable = own == certificate.public_key() and now < certificate.not_valid_after_utc - timedelta(days=1)
    return KeyPair(begins + rest, key) if usable else None


def _keep(path: Path, pair: KeyPair) -> None:
    try:
        replace_file(path, [pair.key, pair.certificate])
    except OSError as error:
        raise StateError(
            f"Cannot keep the certificate in {path}: {error.strerror}. Make the folder writable."
        ) from error
