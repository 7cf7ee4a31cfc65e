"""Translation with an operator's settings."""

from __future__ import annotations

from nodegate.engine import Translation
from nodegate.settings import TranslationSettings
from nodegate.translate.expiry import expiring
from nodegate.translate.index import Index
from nodegate.translate.settings import EscapedSlashes, Expose, Families, KeyPair, ListenerMode, Settings
from nodegate.translate.step import step


def new_translation(chosen: TranslationSettings, own: KeyPair | None = None) -> Translation[Index]:
    """Return an empty translation with an operator's settings; ``own`` is our own certificate, if it is needed."""
    settings = Settings(
        ingress_class=chosen.ingress_class or None,
        listener_mode=ListenerMode(chosen.listener_mode),
        expose=Expose(chosen.expose),
        http_port=chosen.http_port,
        https_port=chosen.https_port,
        families=Families(chosen.address_family),
        default_certificate=chosen.default_certificate,
        self_signed=own,
        default_backend=chosen.default_backend,
        external_names=chosen.external_names,
        trusted_hops=chosen.trusted_hops,
        proxy_protocol=chosen.proxy_protocol,
        escaped_slashes=EscapedSlashes(chosen.escaped_slashes),
        access_log=chosen.access_log,
        publish_service=chosen.publish_service,
    )
    return Translation(lambda: Index.new(settings), step, expiring)
