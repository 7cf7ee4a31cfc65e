"""What is known of a client and changes what it is sent."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """The facts a view depends on (DESIGN 2.2).

    ``node`` is the Kubernetes node's name and ``zone`` its topology zone, both empty when unknown; ``transparent``
    says whether the client's listeners may be transparent, which takes NET_ADMIN on the node.
    """

    node: str = ""
    zone: str = ""
    transparent: bool = False
