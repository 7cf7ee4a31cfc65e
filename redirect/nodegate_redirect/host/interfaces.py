"""The network interfaces of the node."""

from __future__ import annotations

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from nodegate_redirect.errors import KernelError

_ETHERNET, _LOOPBACK = 1, 772  # ARPHRD_ETHER, ARPHRD_LOOPBACK
_INGRESS_PARENT = 0xFFFFFFF2
_EGRESS_PARENT = 0xFFFFFFF3


def with_frames() -> dict[int, str]:
    """Return number and name of every interface whose packets have an Ethernet header; ``lo`` is one of them."""
    try:
        with IPRoute() as netlink:
            links = [link for link in netlink.get_links() if link["ifi_type"] in {_ETHERNET, _LOOPBACK}]
    except (NetlinkError, OSError) as error:
        raise KernelError(f"The kernel does not say which interfaces there are: {error}.") from error
    return {int(link["index"]): str(link.get_attr("IFLA_IFNAME")) for link in links}


def remove_unused_clsact(interface: int) -> bool:
    """Remove the clsact of an interface when no filter is left on it; say whether there was one to remove."""
    with IPRoute() as netlink:
        disciplines = netlink.get_qdiscs(interface)
        if not any(one.get_attr("TCA_KIND") == "clsact" for one in disciplines):
            return False
        parents = (_INGRESS_PARENT, _EGRESS_PARENT)
        if any(list(netlink.get_filters(index=interface, parent=parent)) for parent in parents):
            return False
        netlink.tc("del", "clsact", interface)
    return True
