"""Ends address translation for connections that go to a listener, before kube-proxy's nftables mode looks at them.

An ACCEPT in one nat table does not stop another one, but a connection is translated once only: a DNAT to the address
it has anyway, one step before kube-proxy's priority, is the end of it (redirect 11, redirect-facts C).

kube-proxy's *filter* chains are beyond reach from here: in its nftables mode a Service without any endpoint is
rejected in chains of its own. The control plane gives each Service of an Ingress one endpoint for that reason.
"""

from __future__ import annotations

from nodegate_redirect.host.nft import Table
from nodegate_redirect.marks import REFUSE, TO_LISTENER

_MARKS = f"{{ {TO_LISTENER:#x}, {REFUSE:#x} }}"

BODY = f""" chain prerouting {{
  type nat hook prerouting priority -101; policy accept;
  meta mark {_MARKS} dnat ip to ip daddr
  meta mark {_MARKS} dnat ip6 to ip6 daddr
 }}
 chain output {{
  type nat hook output priority -101; policy accept;
  meta mark {_MARKS} dnat ip to ip daddr
  meta mark {_MARKS} dnat ip6 to ip6 daddr
 }}
"""


def self_nat() -> Table:
    """Return the table."""
    return Table("nodegate-nat", BODY)
