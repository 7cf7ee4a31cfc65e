"""Certificates that have expired or soon will: the one thing that changes without any object changing.

Translation has no clock, so this is not part of a step: who has one asks from time to time, once a day is enough.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from nodegate.model.problem import Problem
from nodegate.model.refs import Ref
from nodegate.translate import codes
from nodegate.translate.index import Index
from nodegate.translate.tls import secret_ref

SOON = timedelta(days=14)
_FIELD = "data[tls.crt]"


def expiring(index: Index, now: datetime) -> Mapping[Ref, tuple[Problem, ...]]:
    """Return the problems of all served Secrets whose certificate has expired or expires within two weeks.

    ``now`` has a time zone. An expired certificate is served all the same: clients that refuse it would refuse the
    default one as well, and those that do not look go on.
    """
    found: dict[Ref, tuple[Problem, ...]] = {}
    soon = now + SOON
    for name in index.certificate_users:
        stored = index.objects.secrets.get(name)
        not_after = stored.checked.not_after if stored else None
        if not_after is None or not_after > soon:
            continue
        expired = not_after <= now
        code = codes.CERTIFICATE_EXPIRED if expired else codes.CERTIFICATE_EXPIRES_SOON
        message = f"The certificate {'expired' if expired else 'expires'} on {not_after:%Y-%m-%d at %H:%M} UTC."
        ref = secret_ref(name)
        found[ref] = (code.found(ref, _FIELD, message),)
    return found
