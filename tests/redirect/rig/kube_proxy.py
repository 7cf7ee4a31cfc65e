"""Rules in the shape of kube-proxy's, for one Service: ``dnat`` to a pod, or ``reject`` because it has no endpoints.

Written after what kube-proxy 1.37 writes in its iptables and its nftables mode: the order of its chains, the marks it
masquerades by, what it rejects in which hook. It is no more than that: kube-proxy itself runs in tests/kube.
"""

from __future__ import annotations

from typing import NamedTuple

from tests.redirect.rig.namespaces import Network

NODE_PORT = 31907
POD_PORT = 8080


class Family(NamedTuple):
    """The addresses of the Service in one family."""

    cluster_ip: str
    load_balancer: str
    pod: str
    pods: str
    node: str
    bridge: str


FAMILIES = {
    4: Family("10.103.218.167", "203.0.113.10", "10.244.0.12", "10.244.0.0/16", "10.0.1.1", "10.244.0.1"),
    6: Family("fd00:96::a7", "2001:db8::10", "fd00:244::12", "fd00:244::/64", "fd00:1::1", "fd00:244::1"),
}

_CHAINS = """*nat
:KUBE-SERVICES - [0:0]
:KUBE-NODEPORTS - [0:0]
:KUBE-MARK-MASQ - [0:0]
:KUBE-POSTROUTING - [0:0]
:KUBE-SVC-WEB - [0:0]
:KUBE-EXT-WEB - [0:0]
:KUBE-SEP-WEB - [0:0]
-A PREROUTING -j KUBE-SERVICES
-A OUTPUT -j KUBE-SERVICES
-A POSTROUTING -j KUBE-POSTROUTING
-A KUBE-MARK-MASQ -j MARK --or-mark 0x4000
-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN
-A KUBE-POSTROUTING -j MARK --xor-mark 0x4000
-A KUBE-POSTROUTING -j MASQUERADE --random-fully
{dnat}-A KUBE-SERVICES -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS
-A KUBE-EXT-WEB -j KUBE-MARK-MASQ
-A KUBE-EXT-WEB -j KUBE-SVC-WEB
-A KUBE-SVC-WEB {internal} -d {f.cluster_ip} -p tcp --dport 80 -j KUBE-MARK-MASQ
-A KUBE-SVC-WEB -j KUBE-SEP-WEB
-A KUBE-SEP-WEB -s {f.pod} -j KUBE-MARK-MASQ
-A KUBE-SEP-WEB -p tcp -j DNAT --to-destination {pod}
COMMIT
*filter
:KUBE-SERVICES - [0:0]
:KUBE-EXTERNAL-SERVICES - [0:0]
:KUBE-NODEPORTS - [0:0]
:KUBE-FORWARD - [0:0]
-A INPUT -j KUBE-NODEPORTS
-A INPUT -m conntrack --ctstate NEW -j KUBE-EXTERNAL-SERVICES
-A FORWARD -j KUBE-FORWARD
-A FORWARD -m conntrack --ctstate NEW -j KUBE-SERVICES
-A FORWARD -m conntrack --ctstate NEW -j KUBE-EXTERNAL-SERVICES
-A OUTPUT -m conntrack --ctstate NEW -j KUBE-SERVICES
-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP
-A KUBE-FORWARD -m mark --mark 0x4000/0x4000 -j ACCEPT
-A KUBE-FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
{reject}COMMIT
"""
_DNAT = """-A KUBE-SERVICES -d {f.cluster_ip} -p tcp --dport 80 -j KUBE-SVC-WEB
-A KUBE-SERVICES -d {f.load_balancer} -p tcp --dport 80 -j KUBE-EXT-WEB
-A KUBE-NODEPORTS -p tcp --dport {node_port} -j KUBE-EXT-WEB
"""
_REJECT = """-A KUBE-SERVICES -d {f.cluster_ip} -p tcp --dport 80 -j REJECT
-A KUBE-EXTERNAL-SERVICES -d {f.load_balancer} -p tcp --dport 80 -j REJECT
-A KUBE-EXTERNAL-SERVICES -p tcp -m addrtype --dst-type LOCAL --dport {node_port} -j REJECT
"""


def iptables_rules(family: int, mode: str, *, masquerade_all: bool) -> str:
    """Return the rules of kube-proxy's iptables mode as the input of ``iptables-restore``."""
    addresses = FAMILIES[family]
    pod = f"[{addresses.pod}]:{POD_PORT}" if family == 6 else f"{addresses.pod}:{POD_PORT}"
    values = {"f": addresses, "node_port": NODE_PORT}
    return _CHAINS.format(
        f=addresses,
        pod=pod,
        internal="" if masquerade_all else f"! -s {addresses.pods}",
        dnat=_DNAT.format(**values) if mode == "dnat" else "",
        reject=_REJECT.format(**values) if mode == "reject" else "",
    )


def install_iptables(network: Network, mode: str, *, backend: str = "nft", masquerade_all: bool = True) -> None:
    """Put the rules of kube-proxy's iptables mode onto the node."""
    for family, program in ((4, "iptables"), (6, "ip6tables")):
        text = iptables_rules(family, mode, masquerade_all=masquerade_all)
        network.run("node", f"{program}-{backend}-restore --noflush", text)


_NFT = """table {ip} kube-proxy {{
 chain mark-for-masquerade {{ meta mark set meta mark or 0x4000; }}
 chain masquerading {{ meta mark & 0x4000 == 0 return; meta mark set meta mark ^ 0x4000; masquerade fully-random; }}
 chain service {{ jump mark-for-masquerade; meta l4proto tcp dnat to {pod}; }}
 chain external {{ jump mark-for-masquerade; meta l4proto tcp dnat to {pod}; }}
 chain reject-chain {{ reject; }}
 map service-ips {{ type {addr} . inet_proto . inet_service : verdict; }}
 map service-nodeports {{ type inet_proto . inet_service : verdict; }}
 map no-endpoint-services {{ type {addr} . inet_proto . inet_service : verdict; }}
 map no-endpoint-nodeports {{ type inet_proto . inet_service : verdict; }}
 set cluster-ips {{ type {addr}; elements = {{ {f.cluster_ip} }}; }}
 set nodeport-ips {{ type {addr}; elements = {{ {f.node}, {f.bridge} }}; }}
 chain services {{
  {ip} daddr . meta l4proto . th dport vmap @service-ips
  {ip} daddr @nodeport-ips meta l4proto . th dport vmap @service-nodeports
 }}
 chain endpoints-check {{
  {ip} daddr @nodeport-ips meta l4proto . th dport vmap @no-endpoint-nodeports
  {ip} daddr . meta l4proto . th dport vmap @no-endpoint-services
 }}
 chain cluster-ips-check {{ {ip} daddr @cluster-ips reject; }}
 chain filter-input {{ type filter hook input priority filter; ct state new jump endpoints-check; }}
 chain filter-forward {{
  type filter hook forward priority filter
  ct state new jump endpoints-check
  ct state new jump cluster-ips-check
 }}
 chain filter-output {{
  type filter hook output priority filter
  ct state new jump endpoints-check
  ct state new jump cluster-ips-check
 }}
 chain nat-prerouting {{ type nat hook prerouting priority dstnat; jump services; }}
 chain nat-output {{ type nat hook output priority -100; jump services; }}
 chain nat-postrouting {{ type nat hook postrouting priority srcnat; jump masquerading; }}
}}
"""
_NFT_DNAT = """add element {ip} kube-proxy service-ips {{ {f.cluster_ip} . tcp . 80 : goto service, \
{f.load_balancer} . tcp . 80 : goto external }}
add element {ip} kube-proxy service-nodeports {{ tcp . {node_port} : goto external }}
"""
_NFT_REJECT = """add element {ip} kube-proxy no-endpoint-services {{ {f.cluster_ip} . tcp . 80 : goto reject-chain, \
{f.load_balancer} . tcp . 80 : goto reject-chain }}
add element {ip} kube-proxy no-endpoint-nodeports {{ tcp . {node_port} : goto reject-chain }}
"""


def install_nftables(network: Network, mode: str) -> None:
    """Put the rules of kube-proxy's nftables mode onto the node, masquerade-all."""
    for family, ip in ((4, "ip"), (6, "ip6")):
        addresses = FAMILIES[family]
        values = {
            "ip": ip,
            "f": addresses,
            "node_port": NODE_PORT,
            "addr": "ipv6_addr" if family == 6 else "ipv4_addr",
            "pod": f"[{addresses.pod}]:{POD_PORT}" if family == 6 else f"{addresses.pod}:{POD_PORT}",
        }
        text = _NFT + (_NFT_DNAT if mode == "dnat" else _NFT_REJECT)
        network.run("node", "nft -f -", text.format(**values))
