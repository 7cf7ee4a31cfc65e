"""A Kubernetes cluster as the source.

``informer`` follows one resource: pure parts are ``stream`` (bytes), ``replica`` (objects) and ``backoff`` (time);
``connection`` is the I/O. ``source`` puts the informers of all resources together. ``journal`` keeps what they know for
the next start, in the text of ``stored``.
"""

from nodegate.source.kubernetes.connection import Connection, connect
from nodegate.source.kubernetes.journal import Journal
from nodegate.source.kubernetes.source import KubernetesSource

__all__ = ["Connection", "Journal", "KubernetesSource", "connect"]
