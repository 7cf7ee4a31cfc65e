"""The node's own addresses, on which it answers node ports."""

from __future__ import annotations

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from nodegate_redirect.errors import KernelError

_LINK_LOCAL = "fe80:"


def of_node() -> frozenset[str]:
    """Return every address of this network namespace, loopback included; not the link-local ones of IPv6.

    A link-local address means nothing without the interface it belongs to, which a client outside cannot know.
    """
    try:
        with IPRoute() as netlink:
            listed = netlink.get_addr()
            found = {message.get_attr("IFA_LOCAL") or message.get_attr("IFA_ADDRESS") for message in listed}
    except (NetlinkError, OSError) as error:
        raise KernelError(f"The kernel does not say which addresses this node has: {error}.") from error
    return frozenset(address for address in found if address and not address.startswith(_LINK_LOCAL))
