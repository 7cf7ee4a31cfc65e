"""The only place where parts are put together: settings in, a running control plane out.

``serve`` runs it as a program, ``control_plane`` starts its parts and stops them in the reverse order, ``translation``
and ``endpoint`` make single parts of settings, ``folder`` and ``kubernetes`` are what is followed, ``writing`` is what
is written to a cluster, ``sites`` serves HTTP, and ``state_folder`` is what is kept across restarts.
"""

from nodegate.app.control_plane import ControlPlane, control_plane
from nodegate.app.serve import serve
from nodegate.app.translation import translate_once

__all__ = ["ControlPlane", "control_plane", "serve", "translate_once"]
