"""TLS Secrets: checked before they are pushed, because Envoy's refusal would come too late (ingress.md 35)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from envoy.extensions.transport_sockets.tls.v3 import secret_pb2

from nodegate.model.objects import WITHHELD_KEY, Metadata, Secret
from nodegate.model.refs import Ref
from nodegate.snapshot.resource import Resource
from nodegate.snapshot.type_urls import SECRET
from nodegate.translate.packing import serialised

CERTIFICATE, KEY, AUTHORITY = "tls.crt", "tls.key", "ca.crt"
_LEAST_RSA_BITS = 2048  # Envoy refuses less
_CURVES = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)  # Envoy refuses others


@dataclass(frozen=True, slots=True)
class Checked:
    """What looking at a key pair showed: a fault as a sentence, empty when it can be served; and until when it is good.

    Whether that time has passed is not translation's to say, which has no clock; see ``expiry.expiring``.
    """

    fault: str
    field: str = ""
    not_after: datetime | None = None


def check_secret(secret: Secret) -> Checked:
    """Say whether a Secret holds a certificate and its key that Envoy will accept."""
    for key in (CERTIFICATE, KEY):
        if not secret.data.get(key):
            return Checked(f"It holds no {key}.", f"data[{key}]")
    if is_withheld(secret):
        return Checked("")
    return check_key_pair(secret.data[CERTIFICATE], secret.data[KEY])


def check_key_pair(certificate: bytes, key: bytes) -> Checked:
    """Say whether these are PEM, belong together, and are of a kind that Envoy accepts."""
    try:
        leaf = x509.load_pem_x509_certificates(certificate)[0]
        public = leaf.public_key()
    except Exception:  # noqa: BLE001  # whatever the parser does not like, it is no certificate
        return Checked(f"Its {CERTIFICATE} is no PEM certificate.", f"data[{CERTIFICATE}]")
    try:
        private = load_pem_private_key(key, password=None)
    except Exception:  # noqa: BLE001  # same for keys; the error may quote the key, so it is not passed on
        return Checked(f"Its {KEY} is no unencrypted PEM key.", f"data[{KEY}]")
    if not _same(private.public_key(), public):
        return Checked(f"Its {KEY} is not the key of its {CERTIFICATE}.", f"data[{KEY}]")
    if fault := _kind_fault(public):
        return Checked(fault, f"data[{KEY}]")
    return Checked("", "", leaf.not_valid_after_utc)


def is_withheld(secret: Secret) -> bool:
    """Say whether the private key is not known: hosts are served with the Secret, by proxies that have it already."""
    return secret.data.get(KEY) == WITHHELD_KEY


def without_key(secret: Secret) -> Secret:
    """Return what may be kept of a Secret where no private key may: enough to make all but the Secret itself of it."""
    metadata = Metadata(secret.metadata.name, secret.metadata.namespace, secret.metadata.uid)
    data = {name: secret.data[name] for name in (CERTIFICATE, AUTHORITY) if name in secret.data}
    if not check_secret(secret).fault:
        data[KEY] = WITHHELD_KEY
    return Secret(metadata, secret.type, data)


def authority_fault(bundle: bytes) -> str:
    """Say why these are no certificate authorities, as a sentence; empty when they are."""
    try:
        x509.load_pem_x509_certificates(bundle)
    except Exception:  # noqa: BLE001  # whatever the parser does not like
        return f"Its {AUTHORITY} holds no PEM certificates."
    return ""


def _same(one: object, other: object) -> bool:
    encoding, form = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    return one.public_bytes(encoding, form) == other.public_bytes(encoding, form)  # type: ignore[attr-defined,no-any-return]


def _kind_fault(public: object) -> str:
    if isinstance(public, rsa.RSAPublicKey) and public.key_size >= _LEAST_RSA_BITS:
        return ""
    if isinstance(public, ec.EllipticCurvePublicKey) and isinstance(public.curve, _CURVES):
        return ""
    return f"Its key is neither RSA of at least {_LEAST_RSA_BITS} bits nor ECDSA on P-256, P-384 or P-521."


def tls_certificate(name: str, certificate: bytes, key: bytes, causes: tuple[Ref, ...]) -> Resource:
    """Return the Secret that Envoy gets by SDS for a key pair."""
    message = secret_pb2.Secret(name=name)
    message.tls_certificate.certificate_chain.inline_bytes = certificate
    message.tls_certificate.private_key.inline_bytes = key
    return Resource(SECRET, name, serialised(message), causes=causes)


def authority(name: str, bundle: bytes, causes: tuple[Ref, ...]) -> Resource:
    """Return the Secret that Envoy gets by SDS to verify endpoints with."""
    message = secret_pb2.Secret(name=name)
    message.validation_context.trusted_ca.inline_bytes = bundle
    return Resource(SECRET, name, serialised(message), causes=causes)
