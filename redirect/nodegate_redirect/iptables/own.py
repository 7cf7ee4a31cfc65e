"""The one table of nftables that this mode needs, for the node's own clients and beside kube-proxy's nftables mode.

iptables has no translation before kube-proxy's nftables mode. Marks lead to ports here, so that the table changes with
the ports of listeners only.
"""

from __future__ import annotations

from nodegate_redirect import nft_chains
from nodegate_redirect.host.nft import Table, elements, nft
from nodegate_redirect.marks import mark_of

TABLE = "nodegate-nat"
_BODY = " map listeners { type mark : inet_service; }\n" + nft_chains.translation(
    own=["meta l4proto tcp redirect to :meta mark map @listeners"]
)


class OwnClients:
    """The table ``inet nodegate-nat``, and the ports of listeners that it leads to. ``questions``: for its heads."""

    def __init__(self) -> None:
        self._table = Table(TABLE, _BODY)
        self.questions = self._table.questions
        self._ports: frozenset[int] | None = None

    def ensure(self, ports: frozenset[int], *, trust: bool) -> list[str]:
        """Make the table lead to these ports at least. With ``trust`` it is what the last call left behind."""
        if not trust or self._ports is None:
            if not self._table.is_right():
                self._ports = ports
                return self._table.replace(_changes("add", ports))
            listed = elements("map", TABLE, "listeners")
            self._ports = frozenset(int(port) for _, port in listed)
        missing = ports - self._ports
        self._change("add", missing)
        return [f"nftables table inet {TABLE}: {len(missing)} ports of listeners are added."] if missing else []

    def keep_only(self, ports: frozenset[int]) -> None:
        """Make the table lead to no other ports."""
        self._change("delete", (self._ports or frozenset()) - ports)

    def remove(self) -> list[str]:
        """Remove the table where there is one."""
        self._ports = None
        return self._table.remove()

    def _change(self, verb: str, ports: frozenset[int]) -> None:
        if ports:
            nft(_changes(verb, ports))
            self._ports = (self._ports or frozenset()) ^ ports


def _changes(verb: str, ports: frozenset[int]) -> str:
    listed = ", ".join(f"{mark_of(port):#x} : {port}" for port in sorted(ports))
    return f"{verb} element inet {TABLE} listeners {{ {listed} }}\n" if ports else ""
