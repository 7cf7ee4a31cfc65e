"""Where objects come from: an asynchronous stream of changes that says when its first listing is complete.

Two implementations, one interface (:class:`nodegate.source.source.Source`): a folder of manifests (``files``), and
the Kubernetes API. Both decode with ``decode``, so an object is the same value wherever it was written.
"""

from nodegate.source.source import Source

__all__ = ["Source"]
