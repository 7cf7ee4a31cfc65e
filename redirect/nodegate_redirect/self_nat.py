"""The one table that a mode without nftables needs beside kube-proxy's nftables mode.

kube-proxy's *filter* chains are beyond reach from anywhere: in its nftables mode a Service without any endpoint is
rejected in chains of its own. The control plane gives each Service of an Ingress one endpoint for that reason.
"""

from __future__ import annotations

from nodegate_redirect import nft_chains
from nodegate_redirect.host.nft import Table


def self_nat() -> Table:
    """Return the table that ends address translation for connections that go to a listener."""
    return Table("nodegate-nat", nft_chains.self_nat())
