"""Redirects by a program at the ingress of every interface: bpf/redirect.bpf.c.

``maps`` has the layouts of its data, ``libbpf`` loads it, ``rules`` is what it needs of nftables, ``mode`` runs it.
"""

from nodegate_redirect.ebpf.mode import EbpfMode

__all__ = ["EbpfMode"]
