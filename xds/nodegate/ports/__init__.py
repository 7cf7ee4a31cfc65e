"""Every listener gets a port of its own, and keeps it.

``allocation`` decides (pure, its clock is an argument), ``store`` keeps what was decided across restarts.
Translation makes no listener without its claim (DESIGN 3.6); the port is part of the listener's name (DESIGN 3.5).
"""

from nodegate.ports.allocation import Claims, Outcome, PortRange
from nodegate.ports.store import PortStore

__all__ = ["Claims", "Outcome", "PortRange", "PortStore"]
