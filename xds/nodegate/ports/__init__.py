"""Every listener gets a port of its own, and keeps it.

``allocation`` decides alone (pure, its clock is an argument), and ``store`` keeps what was decided across restarts.
``written`` decides by what is written on the Services of a cluster, where every replica reads it back. Both are
``contract.Ports`` to the engine. Translation makes no listener without its claim (DESIGN 3.6); the port is part of the
listener's name (DESIGN 3.5).
"""

from nodegate.ports.allocation import Claims
from nodegate.ports.contract import Outcome, Ports, listeners_of, owner_of
from nodegate.ports.range import PortRange
from nodegate.ports.resting import REST_SECONDS, Rest
from nodegate.ports.store import PortStore
from nodegate.ports.written import WrittenClaims

__all__ = [
    "REST_SECONDS",
    "Claims",
    "Outcome",
    "PortRange",
    "PortStore",
    "Ports",
    "Rest",
    "WrittenClaims",
    "listeners_of",
    "owner_of",
]
