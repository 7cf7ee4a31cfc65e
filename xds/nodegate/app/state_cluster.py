"""What is kept of a cluster in the state folder."""

from __future__ import annotations

from pathlib import Path

from nodegate.model.objects import Object, Secret
from nodegate.settings import ServeSettings
from nodegate.source.kubernetes import Journal
from nodegate.translate.certificates import without_key


def kept_cluster(settings: ServeSettings, server: str) -> Journal | None:
    """Return where the state of the cluster at this server is kept; None without a state folder.

    One that follows another cluster, or other namespaces of it, has no use for it.
    """
    if settings.state_dir is None or isinstance(settings.source, Path):
        return None
    source = " ".join((server, *sorted(settings.source.namespaces)))
    return Journal(settings.state_dir, source, _as_it_is if settings.state_secrets else _without_key)


def _as_it_is(one: Object) -> Object:
    return one


def _without_key(one: Object) -> Object:
    return without_key(one) if isinstance(one, Secret) else one
