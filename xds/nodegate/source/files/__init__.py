"""A folder of manifests as the source: everything except writing status works without Kubernetes.

``manifest`` and ``state`` are pure: bytes of files in, objects and problems out. ``scan`` and ``watch`` are the door
to the file system, ``last_good`` to the state folder, ``source`` joins them.
"""

from nodegate.source.files.locate import locate
from nodegate.source.files.reader import Listing, read_folder
from nodegate.source.files.source import FolderSource

__all__ = ["FolderSource", "Listing", "locate", "read_folder"]
