"""Secrets of type ``kubernetes.io/tls``. Whether the PEM in them is good is translation's business."""

from __future__ import annotations

from collections.abc import Iterator

from nodegate.model.objects import Secret
from nodegate.source import codes
from nodegate.source.finding import Finding
from nodegate.source.validation.names import key_fault

_REQUIRED = ("tls.crt", "tls.key")
_LIMIT = 1024 * 1024  # bytes of all values together (core/v1, MaxSecretSize)


def check_secret(secret: Secret) -> Iterator[Finding]:
    """Yield what is wrong with the keys of a TLS Secret; never anything of its values."""
    for key in _REQUIRED:
        if key not in secret.data:
            yield Finding(codes.MISSING_FIELD, ("data", key), f"A {secret.type} Secret must have {key}.")
    for key in secret.data:
        if fault := key_fault(key):
            yield Finding(codes.INVALID_VALUE, ("data", key), f"The key {fault}.")
    if sum(len(value) for value in secret.data.values()) > _LIMIT:
        yield Finding(codes.INVALID_VALUE, ("data",), "All values together are larger than 1 MiB.")
